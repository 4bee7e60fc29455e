package plugins

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Neither stored records nor rows written back depend on the process's time zone or locale.
func TestResultsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, zone, offset, language string }{
		{name: "utc", zone: "UTC", offset: "Z", language: "C"},
		// The offset from UTC is -2:30 in summer, -3:30 in winter.
		{name: "turkish in st-johns", zone: "America/St_Johns", offset: "-0[23]:30", language: "tr_TR.UTF-8"},
	}
	var first string
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			results, log := copyEntities(t, "TZ="+zoneSetting(t, c.zone), "LANG="+c.language, "LC_ALL="+c.language,
				"LANGUAGE="+c.language)
			// The log shows that the program ran in that zone.
			assert.True(t, regexp.MustCompile(`time=\S+`+c.offset+` level=`).MatchString(log),
				"expected times with %s in the log, found\n%s", c.offset, log)
			if first == "" {
				first = results
			}
			diff := cmp.Diff(first, results)
			assert.True(t, diff == "", "expected the same as in UTC and C (-UTC +%s)\n%s", c.name, diff)
		})
	}
}

// copyEntities copies AllTypes, in an environment, through topics with and without schemas, through transforms, and
// back into the service. It returns all records without timestamps, the rows of the service, and the log.
func copyEntities(t *testing.T, environ ...string) (results, log string) {
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20})
	p.Environ = environ
	var args []string
	for _, format := range []string{"JSON", "ATOM"} { // in any case, in any language
		for _, schemas := range []string{"TRUE", "FALSE"} {
			name := format + "-" + schemas
			args = append(args, p.File(name+".properties",
				e2etest.WithSettings(e2etest.Source(name, address, "AllTypes", "Orders"), "sap.odata.format="+format,
					"sap.odata#00.topic=all-"+name, "sap.odata#01.topic=orders-"+name,
					"key.converter.schemas.enable="+schemas, "value.converter.schemas.enable="+schemas,
					"transforms=i", "transforms.i.type=org.apache.kafka.connect.transforms.InsertField$Value",
					"transforms.i.static.field=İıIi", "transforms.i.static.value=ıIİi")...))
		}
	}
	// The way back needs no transform: the set has no such property.
	args = append(args, p.File("plain.properties", e2etest.WithSettings(e2etest.Source("plain", address, "AllTypes"),
		"sap.odata#00.topic=plain")...),
		p.File("back.properties", e2etest.Sink("back", address, "plain", "AllTypesCopies")...))
	r := p.MustRun(append([]string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink", "smt"), "--data",
		p.Data}, args...)...)
	originals := convertToUTC(t, e2etest.Entities(s, "AllTypes"))
	copies := convertToUTC(t, e2etest.Entities(s, "AllTypesCopies"))
	assert.Equal(t, originals, copies, "AllTypes and AllTypesCopies differ")
	timestamp := regexp.MustCompile(`"timestamp":\d+,`)
	var output strings.Builder
	for _, topic := range []string{"all-JSON-TRUE", "all-JSON-FALSE", "all-ATOM-TRUE", "all-ATOM-FALSE",
		"orders-JSON-TRUE", "orders-ATOM-FALSE"} {
		c := p.Run("consume", topic, "--data", p.Data)
		require.True(t, c.Code == 0 && strings.Count(c.Stdout, "\n") >= 20,
			"consume %s: expected exit 0 and 20 lines, found %d\n%s%s", topic, c.Code, c.Stdout, c.Stderr)
		output.WriteString(timestamp.ReplaceAllString(c.Stdout, ""))
	}
	return output.String(), r.Stderr
}

// convertToUTC converts an Edm.DateTimeOffset to UTC, because Kafka Connect's Timestamp has no offset.
func convertToUTC(t *testing.T, entities map[string]map[string]string) map[string]map[string]string {
	t.Helper()
	for _, fields := range entities {
		if stamp, ok := fields["Stamp"]; ok {
			instant, err := time.Parse(time.RFC3339Nano, stamp)
			require.NoError(t, err)
			fields["Stamp"] = instant.UTC().Format(time.RFC3339Nano)
		}
	}
	return entities
}

// zoneSetting returns a value of TZ: the zone's name if the system knows it, else a file of Go's own.
func zoneSetting(t *testing.T, name string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("/usr/share/zoneinfo", name)); err == nil || name == "UTC" {
		return name
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	zones, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer zones.Close()
	file, err := zones.Open(name)
	require.NoError(t, err)
	defer file.Close()
	data, err := io.ReadAll(file)
	require.NoError(t, err)
	return e2etest.WriteFile(t, t.TempDir(), "zone", data)
}
