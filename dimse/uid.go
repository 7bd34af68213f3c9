package dimse

import (
	"slices"
	"strings"
)

// Identifiers of PS3.6 annex A that the protocol itself needs.
const (
	ApplicationContext = "1.2.840.10008.3.1.1.1"
	Verification       = "1.2.840.10008.1.1"

	ImplicitVRLittleEndian         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian = "1.2.840.10008.1.2.1.99"
	ExplicitVRBigEndian            = "1.2.840.10008.1.2.2"
)

// ImplementationClassUID and ImplementationVersion name this implementation in associations and in files.
const (
	ImplementationClassUID = "2.25.55407660093120426713555821073988672499"
	ImplementationVersion  = "RFANODE_1"
)

// storagePrefix begins the UIDs of the storage SOP classes of PS3.4 annex B.5.
const storagePrefix = "1.2.840.10008.5.1.4.1.1."

// notStorage are the classes below storagePrefix that query, move or manage instead of storing (PS3.4 annexes U, X, II
// and CC: hanging protocols live elsewhere, protocol approval and inventory here).
var notStorage = map[string]bool{
	"200.4": true, "200.5": true, "200.6": true, "201.1.1": true,
	"201.2": true, "201.3": true, "201.4": true, "201.5": true, "201.6": true,
}

// StorageClass is a storage SOP class of the standard.
type StorageClass struct {
	UID, Name string
	Retired   bool
}

// StorageClasses lists the storage SOP classes that the standard names, in the order of their UIDs. It is the caller's.
func StorageClasses() []StorageClass { return slices.Clone(storageClasses) }

// IsStorageClass says whether uid is a standard storage SOP class, as far as its number tells: every UID in the arc of
// the storage classes counts, so that a class newer than this program is stored too.
func IsStorageClass(uid string) bool {
	if uid == "1.2.840.10008.5.1.4.34.7" || uid == "1.2.840.10008.5.1.4.34.10" { // RT beams delivery instructions
		return true
	}
	rest, ok := strings.CutPrefix(uid, storagePrefix)
	return ok && rest != "" && !notStorage[rest] && ValidUID(uid)
}

// ValidUID checks the form of a UID (PS3.5 section 9.1): at most 64 digits and dots, no empty component. Leading zeros,
// which the standard forbids, are let pass, because devices in use have them and they harm nobody.
func ValidUID(uid string) bool {
	if uid == "" || len(uid) > 64 {
		return false
	}
	for _, part := range strings.Split(uid, ".") {
		if part == "" {
			return false
		}
		for _, c := range []byte(part) {
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	return true
}

// ValidAETitle checks the form of an application entity title (PS3.5 section 6.2, AE): 1 to 16 printable ASCII characters
// without a backslash, and not only spaces.
func ValidAETitle(title string) bool {
	if strings.TrimSpace(title) == "" || len(title) > 16 {
		return false
	}
	for _, c := range []byte(title) {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// trimUID takes off the padding of an encoded UID: one NUL by the standard, a space from some devices.
func trimUID(b []byte) string {
	return strings.TrimRight(string(b), "\x00 ")
}

// IsUnknownClass says whether uid may be a private or future SOP class: valid, and not one of the standard's services,
// whose messages are not C-STORE.
func IsUnknownClass(uid string) bool {
	return ValidUID(uid) && !strings.HasPrefix(uid, "1.2.840.10008.")
}
