package ct

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

// UID returns the unique identifier that belongs to the given fields: "2.25." and the decimal form of the first 128
// bits of SHA-256 over the length-prefixed fields (PS3.5 B.2; at most 44 characters). The same fields give the same
// identifier at any time and on any machine, which is what makes a rerun the same object.
func UID(fields ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, f := range append([]string{"rfanode/uid/1"}, fields...) {
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		h.Write(n[:])
		h.Write([]byte(f))
	}
	return "2.25." + new(big.Int).SetBytes(h.Sum(nil)[:16]).String()
}
