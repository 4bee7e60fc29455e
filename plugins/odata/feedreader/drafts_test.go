package feedreader

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

const draftMetadata = `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">` +
	`<edmx:DataServices><Schema Namespace="N" xmlns="http://docs.oasis-open.org/odata/ns/edm"><EntityType Name="T"><Key>` +
	`<PropertyRef Name="ID"/><PropertyRef Name="IsActiveEntity"/></Key>` +
	`<Property Name="ID" Type="Edm.Int32" Nullable="false"/>` +
	`<Property Name="IsActiveEntity" Type="Edm.Boolean" Nullable="false"/></EntityType>` +
	`<EntityContainer Name="C"><EntitySet Name="Ts" EntityType="N.T"/></EntityContainer></Schema>` +
	`</edmx:DataServices></edmx:Edmx>`

// Drafts are left out by a condition, unless the user's own conditions select rows by IsActiveEntity. The condition is
// the same in each instance of the plugin.
func TestConditionsOnDrafts(t *testing.T) {
	const active = "IsActiveEntity%20eq%20true"
	for _, test := range []struct {
		name     string
		settings []string
		filter   string
		constant string
	}{
		{"default", nil, active, "IsActiveEntity"},
		{"all", []string{"sap.odata#00.drafts=all"}, "", ""},
		{"a condition", configtest.Condition("00", "IsActiveEntity", "eq", "false"), "IsActiveEntity%20eq%20false", ""},
		{"the user's own filter", []string{"sap.odata#00.query=$filter=not%20IsActiveEntity"},
			"not%20IsActiveEntity", ""},
		{"another filter of the user", []string{"sap.odata#00.query=$select=IsActiveEntity&$filter=ID gt 5"},
			"(ID%20gt%205)%20and%20(" + active + ")", "IsActiveEntity"},
	} {
		settings := configtest.Source(append(configtest.Set("00", "Ts"), test.settings...)...)
		unpacked, configs := NewContext(sourceconfig.V4, settings)
		model, err := document.ReadMetadata(sourceconfig.V4.Dialect, "/s", &wit.Response{Status: 200,
			Body: []byte(draftMetadata)})
		require.NoError(t, err)
		feed, err := New(configs[0], model)
		require.NoError(t, err, test.name)
		unpacked.Feeds = []Feed{*feed}
		again, err := UnpackContext(PackContext(unpacked))
		require.NoError(t, err, test.name)
		for _, f := range []*Feed{feed, &again.Feeds[0]} {
			assert.Equal(t, test.filter, f.RowQuery.Filter(""), test.name)
			assert.Equal(t, test.constant, f.constantKey(), test.name)
		}
	}
}
