package feedreader

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// formatField is set in the offset if the service refuses $format, as WCF Data Services does with 400. Otherwise
// $format requests JSON in case a gateway drops the header Accept.
const formatField = "unformatted"

// FormatRefused reports whether the service refuses $format, as stored in an offset.
func FormatRefused(offset []wit.OffsetEntry) bool { return paging.LookupFlag(offset, formatField) }

// WithFormat adds the field formatField to the next offset if the service refuses $format.
func WithFormat(refused bool, fields *[]wit.OffsetEntry) *[]wit.OffsetEntry {
	if !refused || fields == nil {
		return fields
	}
	extended := append(slices.Clone(*fields), wit.BooleanEntry(formatField, true))
	return &extended
}

// RefusesFormat reports whether the response refuses the $format of its request, and then logs and records it.
func (r *Reader) RefusesFormat(target string) bool {
	if option := r.Feed.Paging.FormatOption; option == "" || !strings.Contains(target, option) ||
		!odataerror.RefusesFormat(&r.Response, r.Body) {
		return false
	}
	sdk.Log(wit.LevelInfo, odataerror.FromResponse(r.Label(), &r.Response, r.Body).Message+
		"; requesting without $format, by the header Accept only")
	r.FormatRefused = true
	r.Feed.SetFormatRefused(true)
	return true
}

// WithoutFormat removes $format from a URL.
func (f *Feed) WithoutFormat(target string) string {
	path, query, _ := strings.Cut(target, "?")
	isFormat := func(option string) bool { return option == f.Dialect.FormatOption }
	options := slices.DeleteFunc(strings.Split(query, "&"), isFormat)
	if len(options) == 0 {
		return path
	}
	return path + "?" + strings.Join(options, "&")
}
