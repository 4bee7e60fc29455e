//go:build real

package real

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

const (
	olingoPath = "/odata.svc"
	// olingoRows is three pages of Olingo's processor of lists, which returns relative next links.
	olingoRows = 250
	manyRows   = 25_000
)

// TestRealOlingo reads and writes a service that is built with Apache Olingo.
func TestRealOlingo(t *testing.T) {
	t.Parallel()
	port := e2etest.FreePort(t)
	s := &olingo{address: "127.0.0.1:" + port}
	e2etest.StartPeer(t, "olingo/start.sh", t.TempDir(), nil, port, strconv.Itoa(olingoRows), t.TempDir(),
		strconv.Itoa(manyRows))
	t.Run("ManyRows", s.testManyRows)
	t.Run("Modes", s.testModes)
}

// testModes reads both formats and parts of a set, and writes in all modes, row by row and by $batch.
func (o *olingo) testModes(t *testing.T) {
	p := e2etest.NewPlace(t)
	broker, err := embedded.Open(embedded.Options{Dir: p.Data, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer broker.Close()
	plugins := e2etest.Plugins(t, "odata-sink", "smt")
	run := func(name string, settings ...string) {
		t.Helper()
		p.MustRunOnceWith(plugins, o.file(p, name, settings...))
	}
	const sinkClass = "connector.class=ODataSink"
	original := o.customers(t)
	require.Equal(t, olingoRows, len(original), "orders")
	o.checkReads(t, p, plugins)
	var deletions []*kgo.Record
	for _, r := range e2etest.ReadTopic(t, broker.Addr(), "plain", olingoRows) {
		deletions = append(deletions, &kgo.Record{Topic: "gone", Key: r.Key})
	}
	e2etest.Produce(t, broker.Addr(), deletions...)
	for _, batch := range []string{"0", "1"} {
		// Each mode is recognized by its rows; upserts and inserts create rows that were deleted before.
		for _, mode := range []string{"update", "merge", "patch", "delete", "upsert", "delete", "insert"} {
			name := mode + batch
			settings := []string{sinkClass, "sap.odata.enable.batch=" + batch}
			if mode == "delete" {
				name += strconv.Itoa(len(o.runs))
				run(name, append(append(settings, "topics=gone", "sap.odata.enable.delete=1"),
					setSettings(0, olingoPath, "Orders", "gone")...)...)
				require.Equal(t, 0, len(o.customers(t)), name, "orders")
				o.runs = append(o.runs, name)
				continue
			}
			run(name, append(append(settings, "sap.odata.operation.mode="+mode, "topics=plain", "transforms=without,by",
				"transforms.without.type=org.apache.kafka.connect.transforms.ReplaceField$Value",
				"transforms.without.exclude=Customer",
				"transforms.by.type=org.apache.kafka.connect.transforms.InsertField$Value",
				"transforms.by.static.field=Customer",
				"transforms.by.static.value="+name), setSettings(0, olingoPath, "Orders", "plain")...)...)
			o.runs = append(o.runs, name)
			want := map[string]string{}
			for key := range original {
				want[key] = name
			}
			require.Equal(t, want, o.customers(t), name)
		}
	}
	// All orders except for the customers are unchanged.
	p.MustRunOnceWith(plugins, o.reader(p, "after", "Orders"))
	want := expectedOrders()
	after := o.orders(t, p, "after")
	for _, order := range want {
		order["Customer"] = "insert1"
		delete(order, "Items")
	}
	assert.Equal(t, want, after, "after all modes")
}

// checkReads reads all orders in both formats, parts of them, and pages of our own. The topic plain has the orders as
// well.
func (o *olingo) checkReads(t *testing.T, p *e2etest.Place, plugins string) {
	t.Helper()
	p.MustRunOnceWith(plugins, o.reader(p, "json", "Orders", "format=json", "expand=Items"),
		o.reader(p, "atom", "Orders", "format=atom", "expand=Items"),
		o.reader(p, "part", "Orders", "select=Customer,Items/Name", "expand=Items",
			"filter#00.property=Customer", "filter#00.option=in",
			"filter#00.low=Müller & Söhne <246>,Müller & Söhne <249>",
			"filter#01.property=Amount", "filter#01.option=gt", "filter#01.low=271"),
		o.reader(p, "pages", "Items", "paging=top", "page.size=77"), o.reader(p, "plain", "Orders"))
	for _, format := range []string{"json", "atom"} {
		assert.Equal(t, expectedOrders(), o.orders(t, p, format), "in", format)
	}
	part := p.Documents("part", "--data", p.Data)
	assert.True(t, len(part) == 1 && payload(t, part[0], "value")["Customer"] == "Müller & Söhne <249>",
		"expected the order 249 alone, found %v", part)
	assert.Equal(t, 2*olingoRows, len(p.Documents("pages", "--data", p.Data)), "items in pages of our own")
}

// file writes the file of a connector of the service.
func (o *olingo) file(p *e2etest.Place, name string, settings ...string) string {
	return p.File(name+".properties", append(o.settings(name), settings...)...)
}

// reader writes the file of a connector that reads a set into the topic of its name.
func (o *olingo) reader(p *e2etest.Place, name, set string, more ...string) string {
	return o.file(p, name, append(setSettings(0, olingoPath, set, name, more...), "connector.class=ODataSource")...)
}

// testManyRows reads a set of a realistic size in both formats. Olingo tracks its changes, and its next links count
// rows. The set is read as a whole, its keys are read again and compared, and then its changes are read. Each row is
// delivered once.
func (o *olingo) testManyRows(t *testing.T) {
	p := e2etest.NewPlace(t)
	for _, format := range []string{"json", "atom"} {
		file := p.File(format+".properties", append(append(o.settings(format), "connector.class=ODataSource"),
			setSettings(0, olingoPath, "Rows", format, "format="+format, "track-changes=1", "exec-period=60")...)...)
		args := []string{"run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, file}
		p.MustRun(args...)
		received := map[string]int{}
		for line := range strings.Lines(p.MustRun("consume", format, "--data", p.Data).Stdout) {
			var record struct{ Key json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			received[string(record.Key)]++
		}
		repeated := 0
		for _, n := range received {
			repeated += n - 1
		}
		assert.True(t, len(received) == manyRows && repeated <= 0,
			"%s: expected each of %d rows once, found %d, and %d repetitions", format, manyRows, len(received),
			repeated)
		p.MustRun(args...)
		p.CheckRecordCount(format, manyRows)
	}
}

// olingo is the service.
type olingo struct {
	address string
	// runs has the names of the connectors that have written.
	runs []string
}

func (o *olingo) settings(name string) []string {
	host, port, _ := strings.Cut(o.address, ":")
	return []string{"name=" + name, "sap.odata.host.protocol=http", "sap.odata.host.address=" + host,
		"sap.odata.host.port=" + port,
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.decimal.format=NUMERIC"}
}

// customers returns the customers of the orders by their numbers, read without Culvert.
func (o *olingo) customers(t *testing.T) map[string]string {
	t.Helper()
	byID := map[string]string{}
	for path := "Orders?$select=OrderId,Customer&$format=json"; path != ""; {
		// Olingo does not escape the token in its links, so servers reject it.
		if link, token, ok := strings.Cut(path, "$skiptoken="); ok {
			path = link + "$skiptoken=" + url.QueryEscape(token)
		}
		r, err := http.Get("http://" + o.address + olingoPath + "/" + path)
		require.NoError(t, err)
		var page struct {
			D struct {
				Results []struct{ OrderId, Customer string }
				Next    string `json:"__next"`
			}
		}
		err = json.NewDecoder(r.Body).Decode(&page)
		r.Body.Close()
		require.True(t, err == nil && r.StatusCode == http.StatusOK,
			"GET %s: expected a page, found status %s, error %v", path, r.Status, err)
		for _, order := range page.D.Results {
			_, ok := byID[order.OrderId]
			require.True(t, !ok, "expected each order once, found %s twice", order.OrderId)
			byID[order.OrderId] = order.Customer
		}
		path = page.D.Next
	}
	return byID
}

// orders returns a topic's records by the numbers of the orders, each value as text.
func (o *olingo) orders(t *testing.T, p *e2etest.Place, topic string) map[string]map[string]string {
	t.Helper()
	byID := map[string]map[string]string{}
	for _, record := range p.Documents(topic, "--data", p.Data) {
		order := map[string]string{}
		for name, value := range payload(t, record, "value") {
			order[name] = fmt.Sprint(value)
		}
		id := order["OrderId"]
		assert.True(t, byID[id] == nil, "%s: expected each order once, found %s twice", topic, id)
		byID[id] = order
	}
	return byID
}

// expectedOrders returns the initial rows of testdata/peers/olingo/Service.java.
func expectedOrders() map[string]map[string]string {
	orders := map[string]map[string]string{}
	for i := range olingoRows {
		customer := fmt.Sprintf("Müller & Söhne <%d>", i)
		if i%5 == 0 {
			customer = "<nil>"
		}
		amount := strconv.FormatFloat(float64(i)*1.1, 'g', -1, 64)
		if !strings.Contains(amount, ".") {
			amount += ".0"
		}
		order := map[string]string{
			"OrderId":  fmt.Sprintf("O/%d'ä", i),
			"Line":     strconv.Itoa(i % 3),
			"Customer": customer,
			"Amount":   amount,
			"Price":    fmt.Sprintf("%d.125", i),
			"Paid":     strconv.FormatBool(i%2 == 0),
			"Created":  strconv.Itoa(1_700_000_000_000 + i*1001),
			"Number":   strconv.FormatInt(1<<63-1-int64(i), 10),
			"Image":    base64.StdEncoding.EncodeToString([]byte{byte(i), 1, 2}),
			"Small":    strconv.Itoa(int(int8(i))),
			"Items": fmt.Sprint([]any{map[string]any{"ItemId": i * 10, "Name": "item 0"},
				map[string]any{"ItemId": i*10 + 1, "Name": "item 1"}}),
		}
		orders[order["OrderId"]] = order
	}
	return orders
}
