package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// capService answers with recorded answers of SAP CAP. Like strict services, it rejects options of feeds for the
// singleton Settings.
func capService(t *testing.T) http.Handler {
	t.Helper()
	bodies := map[string][]byte{"/peer": []byte(`{"@odata.context":"$metadata","value":[` +
		`{"name":"Values","url":"Values"},{"name":"Settings","url":"Settings","kind":"Singleton"}]}`)}
	for target, name := range map[string]string{"/peer/$metadata": "metadata.xml",
		"/peer/Settings": "Settings-singleton.json", "/peer/Values": "Values-ieee754.json"} {
		body, err := os.ReadFile("../../testdata/samples/json4/cap_" + name)
		require.NoError(t, err)
		bodies[target] = body
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[path.Clean(r.URL.Path)]
		switch {
		case !ok:
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, "/Settings") && r.URL.RawQuery != "":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"code":"400","message":"Query options are not allowed here"}}`))
		default:
			_, _ = w.Write(body)
		}
	})
}

// capSet returns the settings of an entity set of [capService].
func capSet(name string, more ...string) []string {
	settings := []string{"connector.class=" + sourceconfig.V4.Class, "sap.odata#00.service=/peer",
		"sap.odata#00.entityset=" + name, "sap.odata#00.topic=t"}
	return append(settings, more...)
}

// TestPeekIntoValuesOfV4 shows arrays of primitives and of complex values, digits, bytes, and a single entity.
func TestPeekIntoValuesOfV4(t *testing.T) {
	for _, test := range []struct {
		set  string
		want []string
	}{
		{set: "Values", want: []string{
			`{"name":"tags","type":"array of string, optional`, `{"name":"bigs","type":"array of int64, optional`,
			`{"name":"readings","type":"array of struct Peer4Service.peer_Reading`,
			`"tags":["a","b ä"],"bigs":[9007199254740995,1],"readings":[{"kind":"in","amount":1.5`,
			`"big":9007199254740995`, `"bin":"//79/A=="`}},
		{set: "Settings", want: []string{`"rows":[{"ID":1,"company":"Peer & Söhne","changed":"2024-02-29T12:34:56.789Z"}]`}},
	} {
		load := newUnopened(t, capService(t))
		document, err := load.runCommand("peek", []wit.Setting{{Name: "e", Value: test.set}},
			capSet(test.set, "sap.odata#00.decimal.mapping=primitive")...)
		require.NoError(t, err, test.set)
		assert.Contains(t, document, test.want...)
	}
}

// TestSingletonIsReadWithoutOptions: services reject options of feeds for a single entity, which proves itself.
func TestSingletonIsReadWithoutOptions(t *testing.T) {
	load := newUnopened(t, capService(t))
	load.class = sourceconfig.V4
	require.NoError(t, load.open(append(capSet("Settings"), "sap.odata.completeness=require")...))
	load.readAll(nil)
	assert.Equal(t, []string{"[1 Peer & Söhne 1709210096789]"}, load.values)
	assert.Equal(t, []string{"/peer/$metadata", "/peer/Settings"}, load.targets)
}

// TestDoctorOfV4 runs all steps of the doctor for services of v4.
func TestDoctorOfV4(t *testing.T) {
	for _, test := range []struct{ set, failing string }{
		{set: "Values"},
		{set: "Settings"},
		{set: "Valeus", failing: "entityset /peer/Valeus"},
	} {
		load := newUnopened(t, capService(t))
		settings := capSet(test.set)
		document, err := load.runCommand("doctor", nil, settings...)
		require.NoError(t, err)
		var steps []string
		require.NoError(t, json.Unmarshal([]byte(document), &steps))
		assert.Equal(t, []string{"service /peer", "metadata /peer", "entityset /peer/" + test.set, "catalogue"}, steps)
		for _, step := range steps {
			document, err := load.runCommand("doctor", []wit.Setting{{Name: "step", Value: step}}, settings...)
			assert.True(t, err == nil && strings.HasPrefix(document, `{"ok":true`) == (step != test.failing),
				"%s: found %s (%v)", step, document, err)
		}
		assert.True(t, !slices.ContainsFunc(load.targets, func(target string) bool {
			return strings.Contains(target, "/sap/opu/odata/") || strings.Contains(target, "$format")
		}), "expected requests of v4, found %v", load.targets)
	}
}

// TestRecommendationsOfV4: singletons are sets, collections are selected and not compared.
func TestRecommendationsOfV4(t *testing.T) {
	values, _ := validateOnline(t, sourceconfig.V4, capService(t), capSet("Values")...)
	for _, test := range []struct{ setting, with, without string }{
		{setting: "entityset", with: "Settings", without: "AllTypes"},
		{setting: "select", with: "tags", without: "DraftMessages"},
		{setting: "filter#00.property", with: "status", without: "tags"},
		{setting: "filter#00.property", with: "level", without: "readings"},
		{setting: "cursor.property", with: "big", without: "bigs"},
	} {
		names := values["sap.odata#00."+test.setting].Recommended
		assert.True(t, slices.Contains(names, test.with) && !slices.Contains(names, test.without),
			"%s: expected %s and not %s, found %v", test.setting, test.with, test.without, names)
	}
}
