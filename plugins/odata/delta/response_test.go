package delta

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// A response confirms change tracking by a preference of the dialect, among others and in any case.
func TestConfirmedTracking(t *testing.T) {
	for _, test := range []struct {
		dialect *edm.Dialect
		header  string
		value   string
		want    bool
	}{
		{edm.V2, "preference-applied", "odata.maxpagesize=5, OData.track-changes", true},
		{edm.V2, "Preference-Applied", "track-changes", false},
		{edm.V2, "Prefer", "odata.track-changes", false},
		{edm.V4, "Preference-Applied", "odata.track-changes", true},
		{edm.V4, "Preference-Applied", "odata.maxpagesize=5, track-changes", true},
		{edm.V4, "Preference-Applied", "track-changes=false", false},
		{edm.V4, "Preference-Applied", "", false},
	} {
		set := Set{&feedreader.Feed{EntitySetConfig: sourceconfig.EntitySetConfig{Dialect: test.dialect}}}
		found := set.confirmsTracking([]wit.Header{{Name: test.header, Value: test.value}})
		assert.Equal(t, test.want, found, test.dialect.Version, test.header, test.value)
	}
}
