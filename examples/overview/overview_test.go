// Package overview contains an example file for each feature that the descriptions of the connectors' properties show.
package overview

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configcheck"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// Every file passes or fails an offline check, as by culvert validate, as its first line specifies: without a warning,
// or by the named setting and nothing else but features that are not built.
func TestFilesMatchTheirFirstLine(t *testing.T) {
	data, plugins := dataFolder(t)
	subaccount := connectivitytest.NewServer()
	defer subaccount.Close()
	t.Setenv("VCAP_SERVICES", subaccount.VCAP(0)) // for files that need a binding
	for _, file := range exampleFiles(t) {
		t.Run(file, func(t *testing.T) {
			first, _, _ := strings.Cut(read(t, file), "\n")
			rejected, isRejected := strings.CutPrefix(first, "# refused: ")
			rejected, isWellFormed := strings.CutSuffix(rejected, " is not built yet")
			companion, needsWorker := strings.CutPrefix(first, "# runs with ")
			if first != "# runs" && !needsWorker && !(isRejected && isWellFormed) {
				t.Fatalf("the first line is %q, expected `# runs`, `# runs with FILE` or `# refused: SETTING is not "+
					"built yet`", first)
			}
			if text := read(t, file); strings.Contains(text, storeFolder) {
				file = filepath.Join(t.TempDir(), file)
				require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(text, storeFolder, samples)), 0o600))
			}
			files := []string{file}
			if needsWorker {
				files = []string{companion, file}
			}
			arguments, err := config.ParseArguments(files)
			require.NoError(t, err)
			problems, err := configcheck.Check(t.Context(), host.Config{Files: arguments, Data: data,
				Plugins: plugins, Logger: discardLogger()})
			require.NoError(t, err)
			isNamed := false
			for _, p := range problems.Problems {
				switch {
				case isRejected && p.Setting == rejected && !p.Warning:
					isNamed = true
				case p.Warning && isRejected: // other warnings are allowed
				case !isRejected, !strings.Contains(p.Text, "not built"):
					t.Error(p)
				}
			}
			assert.True(t, !isRejected || isNamed, "expected a problem that names %s, found %v", rejected, problems)
		})
	}
}

// The sources marked "# runs" run at once, then the sinks one after another, as in README.md: with the demo service
// instead of services.odata.org, a schema registry of the test, one data folder and this folder's worker. Only address,
// port and protocol of the files are changed. Each source reads the rows that it names, each sink writes the expected
// number of rows.
func TestConnectorsRun(t *testing.T) {
	demo := odatatest.New(odatatest.Options{Rows: 830, PageSize: 3000, Subscriptions: true,
		Switches: odatatest.Switches{CSRF: true}})
	server, err := demo.Start("127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	registry := srfake.New()
	defer registry.Close()
	local := localReplacer(server.URL, registry.URL())
	data, plugins := dataFolder(t)
	folder := t.TempDir()
	var sources, sinks []string
	want := int64(0)
	for _, file := range exampleFiles(t) {
		text := read(t, file)
		if !strings.HasPrefix(text, "# runs\n") {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(local.Replace(text)), 0o600))
		switch {
		case strings.Contains(text, "OData2SinkConnector"):
			sinks = append(sinks, filepath.Join(folder, file))
		case strings.Contains(text, "OData2SourceConnector"):
			sources = append(sources, filepath.Join(folder, file))
			want += selectedRows(demo, file, text)
		}
	}
	require.NoError(t, runOnce(t, data, plugins, append([]string{"worker.properties"}, sources...)...))
	rows := demo.Ledger().Rows
	want += probedRows(t, demo)
	assert.True(t, len(sources) >= 8 && len(sinks) >= 8 && rows == want,
		"expected 8 sources or more to read %d rows, and 8 sinks or more; found %d, %d rows, %d sinks", want,
		len(sources), rows, len(sinks))
	wantCreated := map[string]int{"insert": 250, "dynamic": 250, "delete": 250, "batches": 500, "flush-trigger": 250,
		"dead-letter-queue": 250, "update": 0, "kafka-consume": 0}
	for _, file := range sinks {
		earlier := demo.Count("Order_DetailCopies")
		assert.NoError(t, runOnce(t, data, plugins, "worker.properties", file), filepath.Base(file))
		name := strings.TrimSuffix(filepath.Base(file), ".properties")
		assert.Equal(t, wantCreated[name], demo.Count("Order_DetailCopies")-earlier, name, "created order lines")
	}
	updated := 0
	for key, w := range demo.Ledger().Writes {
		if strings.HasPrefix(key, "Order_DetailCopies(") && w.Updated > 0 {
			updated++
		}
	}
	if created, products := demo.Count("Inbox"), demo.Count("Products"); updated != 250 || created != products {
		t.Errorf("expected 250 updated order lines and %d messages, found %d and %d", products, updated, created)
	}
}

// selectedRows returns the number of rows that a source's file selects: whole entity sets, or the rows that match the
// conditions in two of the files.
func selectedRows(demo *odatatest.Service, file, text string) (rows int64) {
	switch file {
	case "sink-topics.properties":
		return 5*250 + 500 + int64(demo.Count("Products"))
	case "selections.properties":
		demo.Each("Orders", func(_ string, order map[string]string) {
			if order["ShipCountry"] == "Germany" && order["OrderID"] <= "10300" {
				rows++
			}
		})
		return rows
	}
	for _, set := range []string{"Order_Details", "Orders", "Products"} {
		rows += int64(demo.Count(set) * strings.Count(text, "entityset = "+set+"\n"))
	}
	return rows
}

// localReplacer replaces the addresses in the files by the addresses of the test.
func localReplacer(demo, registry string) *strings.Replacer {
	_, port, _ := strings.Cut(strings.TrimPrefix(demo, "http://"), ":")
	return strings.NewReplacer("address = services.odata.org", "address = 127.0.0.1", "port = 443", "port = "+port,
		"port = 8090", "port = "+port, "protocol = https", "protocol = http", storeFolder, samples,
		"http://registry.example:8081", registry)
}

// runOnce runs a worker with these files until all data was delivered.
func runOnce(t *testing.T, data string, plugins []string, names ...string) error {
	t.Helper()
	files, err := config.ParseArguments(names)
	require.NoError(t, err)
	h, err := host.New(t.Context(), host.Config{Files: files, Data: data, Plugins: plugins, Once: true,
		Logger: discardLogger()})
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Run(t.Context())
}

// storeFolder is where the files expect their key and trust stores. samples has such stores.
const (
	storeFolder = "/etc/culvert/"
	samples     = "../../testdata/samples/keystores/"
)

// exampleFiles returns the names of the files of connectors in this folder.
func exampleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.properties")
	require.True(t, err == nil && len(files) != 0, "no files, %v", err)
	return files
}

// read returns the content of a file.
func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(raw)
}

// discardLogger returns a logger that discards everything.
func discardLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// dataFolder returns a new data folder that contains only the compiled plugins, and the folder of the plugins.
func dataFolder(t *testing.T) (folder string, plugins []string) {
	t.Helper()
	// They are built with the cache of go build, which is below the same folder.
	plugins = []string{guesttest.Folder(t, "odata-source", "odata-sink", "smt")}
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where lockouts are stored
	folder = t.TempDir()
	guesttest.ShareCode(t, folder)
	return folder, plugins
}

// pageByKey matches requests for the rows from a key on. The files' own filters end with another condition.
var pageByKey = regexp.MustCompile(`ID%20ge%20\d+(%29)?\)?&`)

// probedRows returns the number of rows that were requested to check the service, and not written: the keys before the
// last one, in descending order, the row of the last key, with which a page by key starts, and the row of its number.
func probedRows(t *testing.T, demo *odatatest.Service) (rows int64) {
	for _, r := range demo.Ledger().Requests {
		switch {
		case strings.Contains(r.Query, "%20desc"):
			answer := httptest.NewRecorder()
			demo.ServeHTTP(answer, httptest.NewRequest(r.Method, r.Path+"?"+r.Query, nil))
			var page struct{ D struct{ Results []any } }
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &page))
			rows += int64(len(page.D.Results))
		case pageByKey.MatchString(r.Query), strings.Contains(r.Query, "$skip="):
			rows++
		}
	}
	return rows
}
