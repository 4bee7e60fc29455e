//go:build real

package real

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

// capRows is the number of products: three pages and one row, so that no page ends where the rows do.
const capRows = 3001

// capService is SAP CAP with the OData v2 adapter. Its rows are read by code that shares nothing with Culvert's.
type capService struct {
	entityModel
	address string
	peer    *e2etest.Peer
}

// TestRealCAP reads and writes a real OData v2 service. No other test runs at the same time: on a busy machine the
// service answers 504 for requests that it has applied.
func TestRealCAP(t *testing.T) {
	port := e2etest.FreePort(t)
	dir := t.TempDir()
	s := &capService{address: "127.0.0.1:" + port}
	s.peer = e2etest.StartPeer(t, "cap/start.sh", dir, nil, port, strconv.Itoa(capRows), dir)
	s.entityModel = readMetadata(t, s.get(t, capPath+"/$metadata"))
	t.Run("Read", s.testRead)
	t.Run("Parts", s.testParts)
	t.Run("Changes", s.testChanges)
	t.Run("Write", s.testWrite)
	t.Run("Modes", s.testModes)
}

// settings returns the settings of a connector for the service.
func (s *capService) settings(name, class string) []string {
	return serviceSettings(s.address, name, class)
}

// serviceSettings returns the settings of a connector for the service at an address.
func serviceSettings(address, name, class string) []string {
	host, port, _ := strings.Cut(address, ":")
	return []string{"name=" + name, "connector.class=" + class, "tasks.max=2", "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host, "sap.odata.host.port=" + port, "sap.odata.max.retries=5",
		"sap.odata.min.retry.backoff.ms=100",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.decimal.format=NUMERIC"}
}

// setSettings returns the settings of one entity set of a connector.
func setSettings(n int, service, set, topic string, more ...string) []string {
	prefix := fmt.Sprintf("sap.odata#%02d.", n)
	settings := []string{prefix + "service=" + service, prefix + "entityset=" + set, prefix + "topic=" + topic}
	for _, m := range more {
		settings = append(settings, prefix+m)
	}
	return settings
}

const capPath = "/odata/v2/peer"

func (s *capService) get(t *testing.T, path string) []byte {
	t.Helper()
	r, err := http.Get("http://" + s.address + path)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.True(t, r.StatusCode == http.StatusOK, "GET %s: expected status 200, found %s\n%s", path, r.Status, body)
	return body
}

// rows reads a whole set from the service in JSON, by $skip, and returns the entities by their keys.
func (s *capService) rows(t *testing.T, set string) map[string]capRow {
	t.Helper()
	var entities []map[string]any
	for {
		var page struct {
			D struct{ Results []map[string]any }
		}
		d := json.NewDecoder(bytes.NewReader(s.get(t, fmt.Sprintf("%s/%s?$format=json&$orderby=%s&$skip=%d", capPath,
			set, strings.Join(s.keys[set], ","), len(entities)))))
		d.UseNumber()
		require.NoError(t, d.Decode(&page))
		if len(page.D.Results) == 0 {
			return s.rowsByKey(t, set, entities)
		}
		for _, entity := range page.D.Results {
			for name := range s.types[set] {
				if _, ok := entity[name]; !ok {
					entity[name] = nil // the service left it out
				}
			}
		}
		entities = append(entities, page.D.Results...)
	}
}

// atomDifferences returns the differences between CAP's Atom and JSON, by set and property:
// testdata/peers/cap/atom-differences.txt.
func atomDifferences(t *testing.T) map[string]func(string) string {
	t.Helper()
	content, err := os.ReadFile("../../../../testdata/peers/cap/atom-differences.txt")
	require.NoError(t, err)
	differences := map[string]func(string) string{}
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(words) == 0 {
			continue
		}
		require.True(t, len(words) >= 4, "expected set, property, what and why, found %s", line)
		differences[words[0]+"."+words[1]] = map[string]func(string) string{"seconds": cutToSeconds,
			"newlines": cutReturns}[words[2]]
	}
	return differences
}

// cutToSeconds rounds milliseconds down to seconds.
func cutToSeconds(ms string) string {
	n, _ := strconv.ParseInt(ms, 10, 64)
	return strconv.FormatInt(n-((n%1000)+1000)%1000, 10)
}

func cutReturns(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// Every set in both formats, and Products by every paging strategy, equals the service.
func (s *capService) testRead(t *testing.T) {
	p := e2etest.NewPlace(t)
	for i := range 3 { // media link entries; the service comes without any
		body := fmt.Sprintf(`{"title":"Größe <&> %d","mediaType":"text/plain"}`, i)
		r, err := http.Post("http://"+s.address+capPath+"/Documents", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		r.Body.Close()
		require.True(t, r.StatusCode == http.StatusCreated, "expected a new document, found status %s", r.Status)
	}
	sets := []string{"Products", "AllTypes", "Prices", "Customers", "Categories", "Orders", "OrderItems",
		"ScheduleLines", "Documents"}
	settings := s.settings("cap", "ODataSource")
	n := 0
	add := func(name, topic string, more ...string) {
		settings = append(settings, setSettings(n, capPath, name, topic, append(more, "id="+topic)...)...)
		n++
	}
	for _, set := range sets {
		add(set, set+"-json", "format=json")
		add(set, set+"-atom", "format=atom")
	}
	add("Products", "links-json", "format=json", "paging=links")
	add("Products", "links-atom", "format=atom", "paging=links")
	add("Products", "keys-json", "format=json", "paging=keys")
	r := p.MustRunOnce(p.File("cap.properties", settings...))
	// An Atom feed of this service ends after each page without a next link, which could mean the end of the rows.
	// The warning appears for each page that is requested by number of rows, and once if keys are used from then on
	// (RATIONALE.md P4).
	got := strings.Count(r.Stderr, "there is no next link; continuing with")
	assert.AtLeast(t, capRows/1000+1, got, "a line for each feed that ends early", r.Stderr)
	assert.True(t, strings.Contains(s.log(t), "skiptoken"),
		"expected next links, which say localhost, to be followed where paging=links")
	unused := atomDifferences(t)
	for _, set := range sets {
		want := s.rows(t, set)
		n := map[string]int{"Products": capRows, "Prices": 2000, "Customers": 3000}[set]
		require.True(t, n == 0 || len(want) == n, "expected %d %s at the service, found %d", n, set, len(want))
		topics := []string{set + "-json", set + "-atom"}
		if set == "Products" {
			topics = append(topics, "links-json", "links-atom", "keys-json")
		}
		for _, topic := range topics {
			if len(want) == 0 {
				continue // a topic is made with its first record
			}
			wantInTopic := want
			if strings.HasSuffix(topic, "-atom") {
				wantInTopic = rowsInAtom(set, want, atomDifferences(t), unused)
			}
			compareRows(t, topic, wantInTopic, s.topic(t, p, set, topic))
		}
	}
	testExtremes(t, p, "AllTypes-json")
	for name := range unused {
		t.Errorf("atom-differences.txt: expected %s to differ between the formats, it is the same in both", name)
	}
}

// rowsInAtom returns the service's rows as in Atom. It removes the differences that occur from unused.
func rowsInAtom(set string, rows map[string]capRow, differences,
	unused map[string]func(string) string) map[string]capRow {
	converted := map[string]capRow{}
	for key, r := range rows {
		row := capRow{}
		for name, v := range r {
			row[name] = v
			convert := differences[set+"."+name]
			if convert == nil || v == nil {
				continue
			}
			if atomText := convert(*v); atomText != *v {
				row[name] = &atomText
				delete(unused, set+"."+name)
			}
		}
		converted[key] = row
	}
	return converted
}

func (s *capService) log(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.peer.Dir, "server.log"))
	require.NoError(t, err)
	return string(log)
}

// The limits of every Edm type's range have exact text and the right schema.
func testExtremes(t *testing.T, p *e2etest.Place, topic string) {
	t.Helper()
	got := p.MustRun("consume", topic, "--data", p.Data).Stdout
	for _, want := range []string{
		`"name":"PeerService.AllTypes"`, `"name":"PeerService.AllTypes.Key"`,
		`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"10","connect.decimal.precision":"31"},"field":"dec"}`,
		`{"type":"int32","optional":false,"field":"ID"}`,
		`"ID":1,"b":true,"u8":255,"i16":32767,"i32":2147483647,"i64":9223372036854775807,"dec":123456789.0123457000,"dfl":0.100000,"dbl":1.7976931348623157E308,` +
			`"date":253402214400000,"time":86399000,"dt":253402300799000,"ts":1709210096789,"str":"Grüße \"quoted\" \\ \uD834\uDD1E","lstr":"line1\r\nline2\ttab",` +
			`"bin":"/wD++w==","lbin":null,"guid":"00000001-0000-4000-8000-000000000007"`,
		`"ID":2,"b":false,"u8":0,"i16":-32768,"i32":-2147483648,"i64":-9223372036854775808,"dec":-1E-10,"dfl":-1.000000,"dbl":-4.9E-324,` +
			`"date":-62135596800000,"time":0,"dt":0,"ts":-1,"str":"","lstr":"","bin":"","lbin":null,"guid":"00000002-0000-4000-8000-00000000000e"`,
		`"ID":3,"b":null,"u8":null,"i16":null,"i32":null,"i64":null,"dec":null,"dfl":null,"dbl":null,"date":null,"time":null,"dt":null,"ts":null,` +
			`"str":null,"lstr":null,"bin":null,"lbin":null,"guid":null`,
	} {
		assert.Contains(t, got, want)
	}
}

// Changes at the service arrive with the next run, by the delta link of the run before; in Atom the adapter has none.
func (s *capService) testChanges(t *testing.T) {
	p := e2etest.NewPlace(t)
	changes := []string{"track-changes=1", "exec-period=60"}
	atom := p.File("atom.properties", append(s.settings("changes-atom", "ODataSource"), setSettings(0, capPath,
		"Customers", "changes-atom", changes...)...)...)
	if r := p.RunOnce(atom); r.Code != 1 || !strings.Contains(r.Stderr, "format = json requests the other format") {
		t.Fatalf("expected exit 1 and the advice to use JSON, found %d\n%s", r.Code, r.Stderr)
	}
	file := p.File("changes.properties", append(s.settings("changes", "ODataSource"), setSettings(0, capPath,
		"Customers", "changes", append(changes, "format=json")...)...)...)
	for round, want := range []int{3000, 3000, 3001, 3001} {
		if round == 2 {
			s.send(t, "MERGE", capPath+"/Customers(1)", `{"name":"Changed"}`)
		}
		p.MustRunOnce(file)
		records := p.Records("changes")
		require.Equal(t, want, len(records), "round", round, "records")
		last := payload(t, records[len(records)-1], "value")
		assert.True(t, round < 2 || last["name"] == "Changed",
			"round %d: expected the changed name in the last record, found %v", round, last)
	}
}

// send changes an entity.
func (s *capService) send(t *testing.T, method, path, body string) {
	t.Helper()
	q, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	r, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer r.Body.Close()
	answer, _ := io.ReadAll(r.Body)
	require.True(t, r.StatusCode <= 299, "%s %s: expected success, found %s\n%s", method, path, r.Status, answer)
}

// sinkSettings returns the settings of a connector that writes topics into sets; pairs are set, topic, set, topic, …
func (s *capService) sinkSettings(name string, pairs ...string) []string {
	settings := append(s.settings(name, "ODataSink"), "sap.odata.enable.delete=1", "sap.odata.enable.batch=0")
	topics := ""
	for i := 0; i < len(pairs); i += 2 {
		settings = append(settings, setSettings(i/2, capPath, pairs[i], pairs[i+1])...)
		topics += "," + pairs[i+1]
	}
	return append(settings, "topics="+topics[1:])
}

// Entities are read, deleted by tombstones, and written again unchanged: all Edm types to their limits, keys of three
// properties with odd characters, rows with all properties.
func (s *capService) testWrite(t *testing.T) {
	p := e2etest.NewPlace(t)
	broker, err := embedded.Open(embedded.Options{Dir: p.Data, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer broker.Close()
	run := func(name string, settings []string, more ...string) {
		t.Helper()
		p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), p.File(name+".properties", append(settings, more...)...))
	}
	type setPart struct {
		set   string
		rows  int // in the whole set
		moved int // rows that are deleted and written again, from both ends of the set
	}
	parts := []setPart{
		{set: "AllTypes", rows: 3, moved: 3},
		{set: "Prices", rows: 2000, moved: 300},
		{set: "Products", rows: capRows, moved: 100},
	}
	reader := s.settings("read", "ODataSource")
	var deletions, writes []string // pairs of set and topic
	for i, part := range parts {
		reader = append(reader, setSettings(i, capPath, part.set, "read-"+part.set)...)
		deletions = append(deletions, part.set, "gone-"+part.set)
		writes = append(writes, part.set, "back-"+part.set)
	}
	run("read", reader)
	stored := map[string]map[string]capRow{}
	hasOddKey := func(r *kgo.Record) bool { return bytes.Contains(r.Key, []byte(`O'X&%`)) }
	for _, part := range parts {
		stored[part.set] = s.rows(t, part.set)
		rows := e2etest.ReadTopic(t, broker.Addr(), "read-"+part.set, part.rows)
		rows = slices.Delete(rows, part.moved/2, part.rows-(part.moved-part.moved/2))
		require.True(t, part.set != "Prices" || slices.ContainsFunc(rows, hasOddKey),
			"expected keys with odd characters among those that are written")
		// A second deletion succeeds, because the entity does not exist.
		records := []*kgo.Record{{Topic: "gone-" + part.set, Key: rows[0].Key}}
		for _, r := range rows {
			records = append(records, &kgo.Record{Topic: "gone-" + part.set, Key: r.Key},
				&kgo.Record{Topic: "back-" + part.set, Key: r.Key, Value: r.Value})
		}
		e2etest.Produce(t, broker.Addr(), records...)
	}
	checkUnchanged := func(how string) {
		t.Helper()
		for _, part := range parts {
			compareRows(t, part.set+" "+how, stored[part.set], s.rows(t, part.set))
		}
	}
	run("gone", s.sinkSettings("gone", deletions...))
	for _, part := range parts {
		if got := len(s.rows(t, part.set)); got != part.rows-part.moved {
			t.Errorf("expected %d entities to be deleted, the service has %d of %d", part.moved, got, part.rows)
		}
	}
	for range 2 { // the second time nothing is left to write
		run("back", s.sinkSettings("back", writes...))
	}
	checkUnchanged("written back")
	for mode, more := range map[string]string{
		"update": "batch=1",
		"merge":  "batch=1",
		"patch":  "batch=1",
		"upsert": "batch=1\nsap.odata.changesets=all",
		"single": "batch=0",
	} {
		run(mode, s.sinkSettings(mode, writes...), "sap.odata.enable."+more,
			"sap.odata.operation.mode="+strings.Replace(mode, "single", "upsert", 1))
		checkUnchanged("written by " + mode)
	}
	// After deletion, each upsert is an insert after an update without effect.
	run("again", s.sinkSettings("again", deletions...), "sap.odata.enable.batch=1", "sap.odata.operation.mode=upsert")
	run("upserted", s.sinkSettings("upserted", writes...), "sap.odata.enable.batch=1",
		"sap.odata.operation.mode=upsert", "sap.odata.insert.uncertain=check")
	checkUnchanged("written by upserts that insert")
	t.Run("Refused", func(t *testing.T) { s.testRefused(t, p, broker.Addr()) })
}

// A record that the service rejects fails the task, which names it; the records before it are written, and it is not
// sent twice.
func (s *capService) testRefused(t *testing.T, p *e2etest.Place, servers string) {
	category := func(code string) *kgo.Record {
		value := `{"schema":{"type":"struct","optional":false,"fields":[` +
			`{"type":"string","optional":false,"field":"code"},{"type":"string","optional":true,"field":"title"}]},` +
			`"payload":{"code":"` + code + `","title":"Größe <&> ''"}}`
		return &kgo.Record{Topic: "refused", Value: []byte(value)}
	}
	e2etest.Produce(t, servers, category("N001"), category("C001"), category("N002"))
	settings := append(s.sinkSettings("refused", "Categories", "refused"), "sap.odata.max.in.flight=1", "tasks.max=1",
		"sap.odata.enable.batch=0")
	countPosts := func() int { return strings.Count(s.log(t), "[peer] POST /odata/v4/peer/Categories") }
	before := countPosts()
	r := p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), p.File("refused.properties", settings...))
	assert.True(t, r.Code == 1 && strings.HasPrefix(r.LastLine(), "connector refused, task ") &&
		strings.Contains(r.LastLine(), ": failed: "),
		"expected exit 1 and a failed task, found %d\n%s", r.Code, r.Stderr)
	for _, want := range []string{"refused", "partition 0", "offset 1", "500", "UNIQUE"} {
		assert.True(t, strings.Contains(r.LastLine(), want), "expected %q in the last line: %s", want, r.LastLine())
	}
	if got := countPosts() - before; got != 2 {
		t.Errorf("expected a refused record to be sent once and none behind it, the service saw %d requests", got)
	}
	var created struct{ D struct{ Title string } }
	require.NoError(t, json.Unmarshal(s.get(t, capPath+"/Categories('N001')?$format=json"), &created))
	assert.True(t, created.D.Title == "Größe <&> ''",
		"expected the record before the refused one to be written, found %+v", created)
}

// modeRows is the number of records that each mode writes.
const modeRows = 1000

// testModes writes records by each mode in batches, some of them bad: the service has the result of all good records,
// and lacks the bad ones only. Bad are inserts of existing entities, which the service rejects among the others of
// their batch, texts that are too long, and incomplete keys.
func (s *capService) testModes(t *testing.T) {
	p := e2etest.NewPlace(t)
	broker, err := embedded.Open(embedded.Options{Dir: p.Data, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer broker.Close()
	readTitles := func() map[string]string {
		stored := map[string]string{}
		for code, r := range s.rows(t, "Categories") {
			stored[code] = ""
			if r["title"] != nil {
				stored[code] = *r["title"]
			}
		}
		return stored
	}
	want := readTitles()
	existing := slices.Sorted(maps.Keys(want))[0]
	// code returns the key of row i for a letter.
	code := func(letter string, i int) string {
		digits := "00" + strconv.FormatInt(int64(i), 36)
		return letter + digits[len(digits)-3:]
	}
	longTitle := strings.Repeat("x", 61)
	for _, mode := range []string{"insert", "update", "merge", "patch", "upsert", "dynamic", "delete"} {
		var records []*kgo.Record
		bad := 0
		addRecord := func(code, title, op string) {
			value := map[string]string{"code": code, "title": title}
			if op != "" {
				value["op"] = op
			}
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			records = append(records, &kgo.Record{Topic: mode, Key: fmt.Appendf(nil, `{"code":%q}`, code),
				Value: encoded})
			switch {
			case title == longTitle || code == existing:
				bad++
			case op == "D":
				delete(want, code)
			default:
				want[code] = title
			}
		}
		for i := range modeRows {
			title := fmt.Sprint(mode, " ", i, " Größe ''<&>")
			switch isBad := i%130 == 7; {
			case mode == "delete":
				// The rows of upserts, of dynamic mode, and of the other modes; some were deleted.
				deleted := code([]string{"m", "u", "v"}[i%3], i)
				records = append(records, &kgo.Record{Topic: mode, Key: fmt.Appendf(nil, `{"code":%q}`, deleted)})
				delete(want, deleted)
				if isBad {
					records = append(records, &kgo.Record{Topic: mode, Key: []byte(`{"title":"x"}`)})
					bad++
				}
			case isBad && mode == "insert":
				addRecord(existing, title, "")
			case isBad && mode == "dynamic":
				addRecord(existing, title, "I")
			case isBad:
				addRecord(code("m", i), longTitle, "")
			case mode == "upsert" && i%2 == 1:
				addRecord(code("u", i), title, "")
			case mode == "dynamic":
				letter := []string{"v", "m", "m", "m"}[i%4]
				addRecord(code(letter, i), title, []string{"I", "U", "m", "D"}[i%4])
			default:
				addRecord(code("m", i), title, "")
			}
		}
		e2etest.Produce(t, broker.Addr(), records...)
		// With few requests at a time: an overloaded service answers 504, and then the origin of an existing
		// entity is unknown.
		settings := append(s.sinkSettings("mode-"+mode, "Categories", mode), "sap.odata.enable.batch=1",
			"sap.odata.insert.uncertain=check", "sap.odata.max.in.flight=2", "sap.odata.max.batch.size=100",
			"errors.tolerance=all", "errors.log.enable=true",
			"key.converter=org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable=false",
			"value.converter.schemas.enable=false")
		switch mode {
		case "delete": // the mode needs no setting and has no insert
		case "dynamic":
			settings = append(settings, "sap.odata.operation.mode=dynamic", "sap.odata.operation.mode.property=op")
		default:
			settings = append(settings, "sap.odata.operation.mode="+mode)
		}
		began := time.Now()
		r := p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), p.File(mode+".properties", settings...))
		t.Logf("%s: %d records, %d of them bad, in %v", mode, len(records), bad,
			time.Since(began).Round(100*time.Millisecond))
		require.Equal(t, 0, r.Code, mode, "exit", r.Stderr)
		assert.Equal(t, bad, strings.Count(r.Stderr, "record skipped"), mode, "records to be skipped", r.Stderr)
		diff := cmp.Diff(want, readTitles())
		require.True(t, diff == "", "%s: (-expected +the service has)\n%s", mode, diff)
	}
}
