package feed

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/load"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// $format asks for JSON where a gateway or a cache loses the header Accept, which asks for it too. WCF Data Services
// doesn't know the option and answers 400: what is asked for then has the header alone, from the offset on that says
// so.

// formatField is the field of an offset that says that the service refuses $format.
const formatField = "unformatted"

// FormatRefused reports whether an offset says that the service refuses $format.
func FormatRefused(offset []wit.OffsetEntry) bool { return load.Flag(offset, formatField) }

// WithFormat puts the field of an offset into the fields that follow from it.
func WithFormat(refused bool, fields *[]wit.OffsetEntry) *[]wit.OffsetEntry {
	if !refused || fields == nil {
		return fields
	}
	all := append(slices.Clone(*fields), wit.BooleanEntry(formatField, true))
	return &all
}

// RefusesFormat reports whether the answer refuses $format, which the request at an address had.
func (r *Reader) RefusesFormat(asked string) bool {
	if r.Feed.Pages.FormatOption == "" || !strings.Contains(asked, formatOption) ||
		!fault.RefusesFormat(&r.Answer, r.Body) {
		return false
	}
	sdk.Log(wit.LevelInfo, fault.Of(r.What(), &r.Answer, r.Body).Message+
		"; asking without $format, by the header Accept alone")
	r.Unformatted = true
	r.Feed.UseFormat(true)
	return true
}

// WithoutFormat is an address without $format.
func WithoutFormat(target string) string {
	path, query, _ := strings.Cut(target, "?")
	options := slices.DeleteFunc(strings.Split(query, "&"), func(o string) bool { return o == formatOption })
	if len(options) == 0 {
		return path
	}
	return path + "?" + strings.Join(options, "&")
}
