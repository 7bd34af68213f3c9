package ct

import (
	"slices"

	"rfanode/analysis/ct/codec"
)

// Transfer syntaxes that are told apart here (PS3.5 Annex A).
const (
	implicitLittle = "1.2.840.10008.1.2"
	explicitLittle = "1.2.840.10008.1.2.1"
	deflated       = "1.2.840.10008.1.2.1.99"
	explicitBig    = "1.2.840.10008.1.2.2"
)

// TransferSyntaxes lists the transfer syntaxes whose CT can be read, the order in which a receiver should prefer them:
// what needs no decoding first, what loses nothing before what does.
func TransferSyntaxes() []string { return inOrder(codec.TransferSyntaxes()) }

// AllTransferSyntaxes is TransferSyntaxes of a machine that has every library which can be used.
func AllTransferSyntaxes() []string {
	all := codec.TransferSyntaxes()
	for _, uid := range codec.ExternalSyntaxes() {
		if !slices.Contains(all, uid) {
			all = append(all, uid)
		}
	}
	return inOrder(all)
}

// inOrder puts what needs no decoder around the compressed ones.
func inOrder(compressed []string) []string {
	all := []string{explicitLittle, implicitLittle, deflated}
	for _, uid := range compressed {
		if !codec.Lossy(uid) {
			all = append(all, uid)
		}
	}
	all = append(all, explicitBig)
	for _, uid := range compressed {
		if codec.Lossy(uid) {
			all = append(all, uid)
		}
	}
	return all
}

func canDecode(uid string) bool { return slices.Contains(TransferSyntaxes(), uid) }

// encapsulated says whether the pixel data of the transfer syntax are fragments.
func (h *InstanceHeader) encapsulated() bool { return codec.CanDecode(h.TransferSyntaxUID) }

// grey says whether the pixels are grey values: called so, or compressed with another name left behind.
func (h *InstanceHeader) grey() bool {
	return h.Photometric == "MONOCHROME2" || h.Photometric == "MONOCHROME1" || h.encapsulated() && h.Photometric != "PALETTE COLOR"
}

// TransferSyntaxName is the name that the standard gives a transfer syntax; its UID if it is not known here.
func TransferSyntaxName(uid string) string {
	if name, ok := transferSyntaxNames[uid]; ok {
		return name
	}
	return uid
}

var transferSyntaxNames = map[string]string{
	implicitLittle:              "Implicit VR Little Endian",
	explicitLittle:              "Explicit VR Little Endian",
	deflated:                    "Deflated Explicit VR Little Endian",
	explicitBig:                 "Explicit VR Big Endian",
	"1.2.840.10008.1.2.4.50":    "JPEG Baseline",
	"1.2.840.10008.1.2.4.51":    "JPEG Extended",
	"1.2.840.10008.1.2.4.57":    "JPEG Lossless",
	"1.2.840.10008.1.2.4.70":    "JPEG Lossless, first-order prediction",
	"1.2.840.10008.1.2.4.80":    "JPEG-LS Lossless",
	"1.2.840.10008.1.2.4.81":    "JPEG-LS Near-Lossless",
	"1.2.840.10008.1.2.4.90":    "JPEG 2000 Lossless",
	"1.2.840.10008.1.2.4.91":    "JPEG 2000",
	"1.2.840.10008.1.2.4.201":   "High-Throughput JPEG 2000 Lossless",
	"1.2.840.10008.1.2.4.202":   "High-Throughput JPEG 2000 with RPCL, Lossless",
	"1.2.840.10008.1.2.4.203":   "High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.5":       "RLE Lossless",
	"1.2.840.10008.1.2.8.1":     "Deflated Image Frame Compression",
	"1.2.840.10008.1.2.4.110":   "JPEG XL Lossless",
	"1.2.840.10008.1.2.4.112":   "JPEG XL",
	"1.2.840.113619.5.2":        "GE private Implicit VR Big Endian",
	"1.3.46.670589.33.1.4.1":    "Philips private compression",
	"1.2.840.10008.1.2.4.102":   "MPEG-4",
	"1.2.840.10008.1.2.4.100":   "MPEG-2",
	"1.2.840.10008.1.2.4.53":    "JPEG Spectral Selection",
	"1.2.840.10008.1.2.4.55":    "JPEG Full Progression",
	"1.2.840.10008.1.2.4.100.1": "MPEG-2 fragmentable",
}

// transferSyntaxName is the name and the UID, as messages show it.
func transferSyntaxName(uid string) string {
	if name, ok := transferSyntaxNames[uid]; ok {
		return name + " (" + uid + ")"
	}
	return uid
}
