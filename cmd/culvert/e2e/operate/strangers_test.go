package operate

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Where nothing answers, or somebody else does, the settings are named that say where the service is.
func TestFaultsNameWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	closed := porttest.Address(t)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"closed", e2etest.Source("closed", closed, "Orders"),
			"connection refused (see sap.odata.host.address, sap.odata.host.port)"},
		{"scheme", e2etest.Instead(e2etest.Source("scheme", address, "Orders"), "sap.odata.host.protocol=https"),
			"(no TLS is spoken on this port: see sap.odata.host.protocol, sap.odata.host.port)"},
		{"name", e2etest.Instead(e2etest.Source("name", address, "Orders"), "sap.odata.host.address=nowhere.invalid"),
			"(see sap.odata.host.address)"},
	} {
		file := p.File(c.name+".properties", c.lines...)
		ping := p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(1)
		if strings.Count(ping.LastLine(), c.want) != 1 {
			t.Errorf("%s: ping: expected %q once, found\n%s", c.name, c.want, ping.Stderr)
		}
		p.Once(file).Exits(1).LastLineHas(c.want)
	}
	stray := p.File("stray.properties", e2etest.Instead(e2etest.Source("stray", address, "Orders"), "sap.odata.host.protocol=https")...)
	p.Run("doctor", "-p", stray, "--plugins", e2etest.Plugins(t)).
		Exits(1).Prints("sap.odata.host.protocol: expected TLS on port ")
	url := p.File("url.properties", e2etest.Instead(e2etest.Source("url", address, "Orders"),
		"sap.odata.host.address=http://localhost")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), url).Exits(1).Prints(
		`sap.odata.host.address: expected a host name or IP address, found "http://localhost": a URL's scheme, port and path have settings of their own`)
}

// What net/http logs on its own stands among our lines at level debug, without what a service sent into an idle
// connection.
func TestLibrariesLogAsWeDo(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 5})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "$metadata") {
			s.ServeHTTP(w, r)
			return
		}
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		answer.Header().Set("Connection", "keep-alive")
		result := answer.Result()
		result.ContentLength = int64(answer.Body.Len())
		result.Write(out)
		out.WriteString("HTTP/1.1 400 Bad Request\r\nSet-Cookie: session=abc\r\nContent-Length: 0\r\n\r\n")
		out.Flush()
		conn.(*net.TCPConn).CloseWrite()
		var b [1]byte
		conn.Read(b[:])
	}))
	file := p.File("orders.properties", e2etest.Instead(e2etest.Source("orders", address, "Orders"),
		"sap.odata.max.retries=3")...)
	said := 0
	// Where the next request is sent before what follows the answer was read, that is taken for its answer, and
	// net/http has nothing to say.
	for tries := 0; said == 0 && tries < 30; tries++ {
		r := p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t), "--data", filepath.Join(p.Data, strconv.Itoa(tries)),
			"--log-level", "debug", file)
		for line := range strings.Lines(r.Stderr) {
			if strings.Contains(line, "Unsolicited response") {
				said++
			}
			if !strings.HasPrefix(line, "time=") || strings.Contains(line, "session=abc") {
				t.Errorf("expected a line of the log without what the service sent, found %q", line)
			}
		}
	}
	if said == 0 {
		t.Error("expected a line of net/http among those of the log, found none in 30 runs")
	}
}

// A record's text steers no terminal that it is printed on, and is the same JSON.
func TestConsumeSteersNoTerminal(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	b := e2etest.Embedded(t)
	text := "red \u009b31m, back \u202e, tag \U000e0041, \u007f, Größe"
	document, _ := json.Marshal(map[string]string{text: text})
	e2etest.MakeTopics(t, e2etest.Client(t, b.Addr()), "t")
	e2etest.Produce(t, b.Addr(), &kgo.Record{Topic: "t", Key: []byte(text), Value: document,
		Headers: []kgo.RecordHeader{{Key: text, Value: []byte(text)}}})
	r := p.Run("consume", "t", "--bootstrap-servers", b.Addr()).Exits(0).Prints("Größe").
		Omits("\u009b", "\u202e", "\U000e0041", "\u007f")
	var line struct {
		Key     string
		Value   map[string]string
		Headers []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &line); err != nil || line.Key != text || line.Value[text] != text ||
		line.Headers[0].Value != text {
		t.Errorf("expected the same text, found %+v, %v", line, err)
	}
}

// A sink for a topic that is not there has done nothing, which --once must not report as done, unless sources of the
// same run had nothing to make it for.
func TestOnceWithoutItsTopic(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	first := p.File("first.properties", e2etest.Source("first", address, "Products")...)
	both := p.File("both.properties", e2etest.SinkOf("both", address, "Prodcts", "OrderCopies", "Products", "ProductCopies")...)
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data}
	p.Run(append(args, first, both)...).Exits(0).Says("there is no such topic")
	again := p.File("again.properties", e2etest.SinkOf("again", address, "Prodcts", "OrderCopies")...)
	p.Run(append(args, again)...).Exits(1).LastLineBegins(
		"connector again, task 0: FAILED: topics: expected topics that exist, found none with the name Prodcts: ")
}

// Settings of a converter that the file does not name count as little as they do in Kafka Connect, which is said.
func TestSettingsOfAConverterThatIsNotNamed(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	lines := append(e2etest.Source("orders", porttest.Address(t), "Orders"), "value.converter.schemas.enable=false")
	want := "value.converter.schemas.enable: warning: has no effect, as in Kafka Connect: this file " +
		"names no value.converter"
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.File("orders.properties", lines...)).
		Exits(0).Prints(want, "value.converter=org.apache.kafka.connect.json.JsonConverter")
	named := append(lines, "value.converter=org.apache.kafka.connect.json.JsonConverter")
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.File("orders.properties", named...)).Exits(0).Omits(want)
}
