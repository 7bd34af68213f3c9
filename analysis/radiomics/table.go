package radiomics

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// Row is one region in a table of features.
type Row struct {
	ID, Image, Mask string
	Result          *Result
	Err             error // why there is no Result
}

// leading are the columns before the features.
var leading = []string{"id", "image", "mask", "label", "profile", "settings_sha256", "warnings", "error"}

// Header names the columns of a table: what the row is about, then all features of the profile.
func Header(p Profile) []string { return append(append([]string(nil), leading...), p.Names()...) }

// Record is the row under Header of the same profile; a value that does not exist is empty.
func (r *Row) Record(p Profile) []string {
	out := []string{r.ID, r.Image, r.Mask, "", p.Name, p.Hash(), "", ""}
	if r.Err != nil {
		out[7] = r.Err.Error()
	}
	if r.Result == nil {
		return append(out, make([]string, len(p.Names()))...)
	}
	out[3] = strconv.Itoa(r.Result.Label)
	out[6] = strings.Join(r.Result.Warnings, "; ")
	for _, v := range r.Result.Values {
		out = append(out, v.Record())
	}
	return out
}

// WriteCSV writes a table with a line a region; all of one profile.
func WriteCSV(w io.Writer, p Profile, rows ...Row) error {
	out := csv.NewWriter(w)
	if err := out.Write(Header(p)); err != nil {
		return err
	}
	for i := range rows {
		if err := out.Write(rows[i].Record(p)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
