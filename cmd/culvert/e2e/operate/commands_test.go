package operate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	good := p.File("good.properties", e2etest.Source("good", address, "Orders")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), good).WantCode(0).WantNoStdout()
	bad := p.File("bad.json", `{"name": "bad", "config": {`, `"connector.class": "ODataSource",`,
		`"sap.odata.host.adress": "x",`,
		`"sap.odata.host.port": "none", "sap.odata.user.pwd": "hunter2"`, `}}`)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "group.id=x", "offset.flush.interval.ms=soon")
	p.Run("validate", "--plugins", e2etest.Plugins(t), worker, good, bad).WantCode(1).WantNo("hunter2").WantStdout(
		worker+":2: group.id: warning: has no effect",
		worker+":3: offset.flush.interval.ms: Invalid value soon for configuration offset.flush.interval.ms: "+
			"Not a number of type LONG",
		bad+`:1: sap.odata.host.address: Missing required configuration "sap.odata.host.address" which has no default value.`+"\n",
		bad+":3: sap.odata.host.adress: unknown setting; the nearest known one is sap.odata.host.address; with "+
			"unknown.settings=warn this is a warning\n",
		bad+":4: sap.odata.host.port: Invalid value none for configuration sap.odata.host.port: "+
			"Not a number of type INT")
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.Dir).WantCode(1).WantStdout(bad+":4: ", worker+":3: ")
	grouped := p.File("group/worker.properties", "bootstrap.servers=a:1", "group.id=x", "config.storage.topic=c",
		"status.storage.topic=s", "config.storage.secrets=refuse")
	withReferences := p.File("group/good.properties", append(e2etest.Source("good", address, "Orders"),
		"sap.odata.user.name=${env:PATH}",
		"sap.odata.user.pwd=hunter2")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), withReferences).WantCode(0)
	p.Run("validate", "--plugins", e2etest.Plugins(t), grouped, withReferences).WantCode(1).WantNo("hunter2").
		WantStdout(
			"sap.odata.user.name: ", "config.providers=env", "config.storage.secrets=refuse keeps passwords out")
	var list []map[string]any
	r := p.Run("validate", "--json", "--plugins", e2etest.Plugins(t), bad)
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list) < 3 || list[0]["file"] != bad {
		t.Errorf("expected a list, found %v in %s", err, r.Stdout)
	}
	for setting, code := range map[string]string{
		"sap.odata.host.adress":  "unknown",
		"sap.odata.host.port":    "invalid-value",
		"sap.odata.host.address": "missing",
	} {
		isProblem := func(p map[string]any) bool { return p["setting"] == setting && p["code"] == code }
		assert.True(t, slices.ContainsFunc(list, isProblem),
			"expected the problem %s of %s, found %s", code, setting, r.Stdout)
	}
	got := s.Ledger().Total
	assert.True(t, got == 0, "expected that validate sends nothing, found %d requests", got)
}

// ping reports that services answer, or why they do not, and that plugins are being compiled, but only if they are.
func TestPing(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "u", Password: "right"})
	lines := append(e2etest.Source("x", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=right")
	file := p.File("x.properties", lines...)
	p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins",
		e2etest.Plugins(t)).WantCode(0).WantStdout("entitySets")
	r := p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t), "--json")
	e2etest.Decode[map[string]any](t, r.Stdout)
	// The folder for compiled plugins is empty, so the command explains the wait.
	const compiled = "compiling plugins, once: "
	data := filepath.Join(p.Dir, "data")
	require.NoError(t, os.Remove(filepath.Join(data, "plugins.cache")))
	require.NoError(t, os.Mkdir(filepath.Join(data, "plugins.cache"), 0o700))
	args := []string{"ping", "-s", odatatest.NorthwindPath, "-p", file, "--plugins", e2etest.Plugins(t), "--data", data}
	r = p.Run(args...).WantCode(0).WantStderr(compiled)
	e2etest.MustNotContain(t, "stdout", r.Stdout, "compiling")
	p.Run(args...).WantCode(0).WantNo(compiled)
	p.Run("list-entitysets", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		WantCode(0).WantStdout("Order_Details")
	p.Run("ping", "-p", file, "--plugins", e2etest.Plugins(t), "--help").WantCode(0).WantStdout("--service")
	p.Run("nonsense", "-p", file, "--plugins", e2etest.Plugins(t)).WantCode(2).WantStderr("ping")
	misspelt := p.File("misspelt.properties", append(lines, "sap.odata.host.adress=x")...)
	p.Run("ping", "-p", misspelt, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		WantCode(2).WantStderr(misspelt + ":12: sap.odata.host.adress: unknown setting")
	// Without a path all services of the connector are asked.
	p.Run("ping", "-p", file, "--plugins", e2etest.Plugins(t)).WantCode(0).WantStdout("service          /V2/")
	two := p.File("two.properties", append(lines, "sap.odata#01.service="+odatatest.SAPPath,
		"sap.odata#01.entityset=Orders", "sap.odata#01.topic=more")...)
	p.Run("ping", "-p", two, "--plugins", e2etest.Plugins(t)).WantCode(0).
		WantStdout("Northwind.svc  ", "NORTHWIND_SRV  13 ")
	// Commands do not retry, and do not say so: a closed port is reported at once.
	closed := p.File("closed.properties", e2etest.WithSettings(e2etest.Source("orders", porttest.Address(t), "Orders"),
		"sap.odata.max.retries=10", "sap.odata.min.retry.backoff.ms=3600000",
		"sap.odata.max.retry.backoff.ms=3600000")...)
	p.Run("ping", "-p", closed, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		WantCode(1).WantStderr("connection refused").WantNo("retrying")
	// With --wait they do: the service responds from the third request on.
	var requests atomic.Int32
	demo := odatatest.New(odatatest.Options{Rows: 10})
	late := p.File("late.properties", e2etest.Source("late", e2etest.Serve(t, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			demo.ServeHTTP(w, r)
		})), "Orders")...)
	p.Run("ping", "-p", late, "--plugins", e2etest.Plugins(t), "--wait", "5m").WantCode(0).WantStdout("entitySets").
		WantStderrTimes(1, "HTTP 503").WantStderr("; retrying for 5m0s\n")
	wrong := p.File("wrong.properties", append(lines, "sap.odata.user.pwd=hunter2")...)
	p.Run("ping", "-p", wrong, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).WantCode(1).
		WantNo("hunter2")
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Run("plugins", "list", "--plugins", e2etest.Plugins(t)).WantCode(0).WantStdout("odata-source", "0.1.0")
	var list []struct {
		Name       string
		From       string
		Components []struct{ Class string }
	}
	r := p.Run("plugins", "list", "--json", "--plugins", e2etest.Plugins(t))
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list) == 0 || len(list[0].Components) == 0 {
		t.Errorf("expected a plugin with components, found %v, %s", err, r.Stdout)
	}
	r = p.Run("plugins", "list", "--plugins", e2etest.Plugins(t, "smt"))
	for line := range strings.Lines(r.Stdout) {
		assert.True(t, len(line) <= 300, "expected a component in each line, found %q", line)
	}
	r.WantStdout("  transformation  org.apache.kafka.connect.transforms.Cast$Key\n")
	p.Run("plugins", "show", "odata-source", "--plugins", e2etest.Plugins(t)).WantCode(0).
		WantStdout("sap.odata.host.address")
	p.Run("plugins", "check", e2etest.Plugins(t)+"/odata-source.wasm").WantCode(0).WantStdout("accepted")
	empty := p.File("empty.wasm")
	p.Run("plugins", "check", empty).WantCode(1).WantStderr(empty).WantNoStdout()
	// Converters are found by class or by the last part of the class, and their settings are printed.
	for args, wants := range map[string][]string{
		"JsonConverter": {"org.apache.kafka.connect.json.JsonConverter", "converter", "decimal.format", "BASE64"},
		"io.confluent.connect.avro.AvroConverter --json": {`"class":"io.confluent.connect.avro.AvroConverter"`,
			"schema.registry.url", "auto.register.schemas"},
	} {
		p.Run(append([]string{"plugins", "show"}, strings.Fields(args)...)...).
			WantCode(0).WantStdout(wants...).WantNo("converter.type")
	}
}

// init writes a file that validate and run accept, from flags or from answers, and never writes a password.
func TestInit(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "me", Password: "geheim",
		Switches: odatatest.Switches{Catalogue: 3}})
	p.Environ = append(p.Environ, "SAP_PASSWORD=geheim")
	host, port, _ := net.SplitHostPort(address)
	root := strings.TrimSuffix(odatatest.SAPPath, "/")
	common := slices.Clip([]string{"init", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--protocol", "http",
		"--host",
		host, "--port", port, "--user", "me"})
	flags := slices.Clip(append(common, "--yes", "--service", root, "--entity-set", "Customers,Products", "--select",
		"CustomerID,City"))

	p.MustRun(append(flags, "-o", "made.properties")...)
	file := filepath.Join(p.Dir, "made.properties")
	content, err := os.ReadFile(file)
	require.True(t, err == nil && !strings.Contains(string(content), "geheim") &&
		strings.Contains(string(content), "sap.odata.user.pwd=${env:SAP_PASSWORD}\n") &&
		strings.Contains(string(content), "# Name of the entity set."),
		"expected a reference to the password and documentation, found %v\n%s", err, content)
	p.MustRun("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, file)
	p.MustRunOnce(file)
	p.CheckRecordCount("Customers", s.Count("Customers"))
	p.CheckRecordCount("Products", s.Count("Products"))

	// A proposal is chosen by its number or written out.
	c := exec.Command(e2etest.Bench.Binary, append(common, "-o", "asked.properties")...)
	c.Dir = p.Dir
	c.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(p.Dir, "cache")), p.Environ...)
	// The answers: password, client, service, set, topic, properties, name.
	c.Stdin = strings.NewReader("\n\n2\nOrders\norders\nOrderID,Freight\n\n")
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("   2  "+root+"\n")) || !bytes.Contains(out, []byte("ShipCity\n")) {
		t.Fatalf("expected the service and the properties as suggestions, found %v\n%s", err, out)
	}
	content, _ = os.ReadFile(filepath.Join(p.Dir, "asked.properties"))
	assert.Contains(t, string(content), "\nname=orders\n", "\nsap.odata#00.service="+root+"\n",
		"\nsap.odata#00.topic=orders\n", "\nsap.odata#00.select=OrderID,Freight\n")

	// Wrong answers are asked for again: protocol, port, an empty service, an entity set. Three rows are shown.
	p.Stdin = "ftp\nhttp\n" + host + "\nx\n" + port + "\nme\n\n\n\n2\nOrdrs\nOrders\n\nOrderID,Freight\nagain\n"
	output := p.MustRun("init", "--plugins", e2etest.Plugins(t), "--data", p.Data, "-o", "again.properties")
	p.Stdin = ""
	output.WantStderr("found none\n", "Ordrs", "ORDERID  FREIGHT\n10248 ", "\n10250 ")
	assert.True(t, !strings.Contains(output.Stderr, "10251") &&
		strings.Count(output.Stderr, "Protocol [https]: ") == 2 && strings.Count(output.Stderr, "Port [80]: ") == 2,
		"expected three rows, and two questions for protocol and port, found\n%s", output.Stderr)

	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{code: 1, want: "exists", args: append(flags, "-o", "made.properties")},
		{
			code: 1,
			want: "the nearest name is Orders",
			args: append(common, "--yes", "--service", root, "--entity-set", "Ordres"),
		},
		{code: 1, want: "sap.odata#00.select: ", args: append(flags, "--select", "Nothing")},
		{
			code: 2,
			want: "--host is required",
			args: []string{"init", "--yes", "--plugins", e2etest.Plugins(t), "--data", p.Data},
		},
		{code: 2, want: "--service is required", args: append(common, "--yes")},
		{code: 2, want: "--password-in-file", args: append(flags, "--password", "geheim")},
		{code: 1, want: "it is not sent", args: append(flags, "--password", "${vault:sap:pw}")},
	} {
		p.Run(c.args...).WantCode(c.code).WantStderr(c.want)
	}
	if l := s.Ledger(); l.FailedLogons != 0 {
		t.Errorf("expected that no other password is sent, found refused logons %v", l.FailedLogonsOf)
	}
	p.Run(append(flags, "--password", "geheim", "--password-in-file", "-o", "-")...).
		WantCode(0).WantStdout("sap.odata.user.pwd=geheim\n")
}

// A flag names the class for services of OData v4. The other class names the right one.
func TestInitOfV4(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	host, port, _ := net.SplitHostPort(address)
	file := filepath.Join(p.Dir, "made.properties")
	service := strings.TrimSuffix(odatatest.SAP4Path, "/")
	args := []string{"init", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--yes", "--protocol", "http", "--host",
		host, "--port", port, "--service", service, "--entity-set", "Orders", "-o", file}
	p.Run(args...).WantCode(1).WantStderr("use the connector class of OData v4")
	p.MustRun(append(args, "--class", "OData4Source")...)
	p.MustRunOnce(file)
	p.CheckRecordCount("Orders", s.Count("Orders"))
}

// A typed password goes into a file of its own, and no error loses the answers.
func TestInitKeepsAnswers(t *testing.T) {
	t.Parallel()
	const password = "ge, heim=x"
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "me", Password: password})
	host, port, _ := net.SplitHostPort(address)
	args := []string{"init", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--protocol", "http", "--host", host,
		"--port", port, "--user", "me", "--client", "", "--service", odatatest.NorthwindPath}
	temp := p.Subfolder("temp")
	p.Environ = append(p.Environ, "TMPDIR="+temp)
	p.File("taken.properties")

	// The input ends after the set.
	p.Stdin = password + "\nOrders\n"
	r := p.Run(args...).WantCode(2).WantStderr("found the end of the input\nonly " + temp)
	drafts, _ := filepath.Glob(filepath.Join(temp, "*", "orders.properties"))
	require.True(t, len(drafts) == 1 && strings.Contains(r.Stderr, drafts[0]),
		"expected the answers in a file, found %v\n%s", drafts, r.Stderr)
	p.Stdin = password + "\nOrders\n\n\ntaken\ntyped\n"
	r = p.MustRun(args...).WantStderr("taken.properties exists", "typed.secrets is written").WantNo(password)
	for _, file := range []string{drafts[0], filepath.Join(p.Dir, "typed.properties")} {
		secrets := strings.TrimSuffix(file, ".properties") + ".secrets"
		content, _ := os.ReadFile(file)
		assert.Contains(t, string(content), "\nsap.odata#00.entityset=Orders\n",
			"\nsap.odata.user.pwd=${file:"+secrets+":password}\n")
		info, err := os.Stat(secrets)
		require.NoError(t, err)
		if content, _ = os.ReadFile(secrets); string(content) != "password="+password+"\n" ||
			info.Mode().Perm() != 0o600 {
			t.Errorf("expected the password for its owner alone, found %q with mode %v", content, info.Mode())
		}
	}
	p.Stdin = ""
	p.MustRunOnce(filepath.Join(p.Dir, "typed.properties"))
	p.CheckRecordCount("Orders", s.Count("Orders"))
}

// Avro and JSON Schema records are printed as JSON with the registry of the worker's file or of the command. Without a
// registry, or with an unknown schema, their bytes are printed.
func TestConsumeRegistered(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	broker := e2etest.StartEmbeddedBroker(t)
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 3})
	worker := p.File("worker.properties", e2etest.AvroWorker(broker.Addr(), registry.URL())...)
	files := []string{worker, p.File("avro.properties", e2etest.Source("avro", address, "Orders")...),
		p.File("schema.properties", append(e2etest.WithSettings(e2etest.Source("schema", address, "Orders"),
			"sap.odata#00.topic=Typed"),
			"value.converter=io.confluent.connect.json.JsonSchemaConverter",
			"value.converter.schema.registry.url="+registry.URL())...)}
	run := append([]string{"run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data}, files...)
	p.MustRun(run...)
	for _, topic := range []string{"Orders", "Typed"} {
		for source, options := range map[string][]string{
			"file":    {"-p", worker},
			"command": {"--bootstrap-servers", broker.Addr(), "--schema-registry", registry.URL()},
		} {
			r := p.Run(append([]string{"consume", topic}, options...)...)
			n := 0
			for line := range strings.Lines(r.Stdout) {
				var record struct {
					Key   struct{ OrderID, ShipCountry any }
					Value struct{ OrderID, ShipCountry any }
				}
				err := json.Unmarshal([]byte(line), &record)
				assert.True(t, err == nil && record.Key.OrderID == 10248.0+float64(n) &&
					record.Value.OrderID == record.Key.OrderID && record.Value.ShipCountry != nil,
					"%s, by the %s: expected order %d, found %v in %s", topic, source, 10248+n, err, line)
				n++
			}
			assert.True(t, r.Code == 0 && n == 3 && r.Stderr == "",
				"%s, by the %s: expected exit 0 and 3 lines, found exit %d and %d\n%s", topic, source, r.Code, n,
				r.Stderr)
		}
		if r := p.Run("consume", topic, "--bootstrap-servers", broker.Addr()); strings.Count(r.Stdout, "base64") < 3 {
			t.Errorf("%s without a registry: expected bytes, found exit %d\n%s", topic, r.Code, r.Stdout)
		}
	}
	client := e2etest.NewClient(t, broker.Addr(), kgo.AllowAutoTopicCreation())
	for _, value := range []string{"\x00\x00\x00\xff\xffx", "plain"} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "odd", Value: []byte(value)}).FirstErr())
	}
	p.Run("consume", "odd", "-p", worker).WantCode(0).WantStdout(`"value":{"base64":`, `"plain"`).
		WantStderrTimes(1, "cannot be decoded with its schema")

	// The text of a record cannot control the terminal, and its JSON is unchanged.
	text := "red \u009b31m, back \u202e, tag \U000e0041, \u007f, Größe"
	document, _ := json.Marshal(map[string]string{text: text})
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "steering", Key: []byte(text),
		Value:   document,
		Headers: []kgo.RecordHeader{{Key: text, Value: []byte(text)}}}).FirstErr())
	r := p.Run("consume", "steering", "-p", worker).WantCode(0).WantStdout("Größe").
		WantNo("\u009b", "\u202e", "\U000e0041", "\u007f")
	var line struct {
		Key     string
		Value   map[string]string
		Headers []struct{ Key, Value string }
	}
	err := json.Unmarshal([]byte(r.Stdout), &line)
	assert.True(t, err == nil && line.Key == text && line.Value[text] == text && line.Headers[0].Value == text,
		"expected the same text, found %+v, %v", line, err)
}

// Consuming can start at a time or an offset, be limited to a partition, and end after a number of records.
func TestConsumeSome(t *testing.T) {
	t.Parallel()
	broker := e2etest.StartEmbeddedBroker(t)
	p := e2etest.NewPlace(t)
	client := e2etest.NewClient(t, broker.Addr(), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	start := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		stamp := start.Add(time.Duration(i) * time.Hour)
		record := &kgo.Record{Topic: "some", Value: fmt.Append(nil, i), Timestamp: stamp}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	consume := func(args string) e2etest.Result {
		return p.Run(append([]string{"consume", "some", "--bootstrap-servers", broker.Addr()},
			strings.Fields(args)...)...)
	}
	for _, c := range []struct{ args, want string }{
		{args: "-n 3", want: "0 1 2"},
		{args: "--partition 0 --offset 7", want: "7 8 9"},
		{args: "--partition 0 --offset 4 -n 2", want: "4 5"},
		{args: "--from 2026-02-03T06:30:00Z", want: "7 8 9"},
		{args: "--from 2026-02-03 -n 1", want: "0"},
		{args: "--from 1h"},
		{args: "-n 2 --follow", want: "0 1"},
		{args: "--partition 0 --offset 10"},
		{args: "--partition 0 --from 2026-02-03T08:00:00Z", want: "8 9"},
	} {
		r := consume(c.args)
		var lines []string
		for line := range strings.Lines(r.Stdout) {
			var record struct{ Value json.Number }
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			lines = append(lines, record.Value.String())
		}
		if got := strings.Join(lines, " "); r.Code != 0 || got != c.want {
			t.Errorf("%s: expected exit 0 and %q, found exit %d and %q\n%s", c.args, c.want, r.Code, got, r.Stderr)
		}
	}
	for args, want := range map[string]string{
		"--offset 3":                                  "--partition",
		"--partition 7":                               "has no partition 7",
		"--from yesterday":                            `found "yesterday"`,
		"-n -1":                                       "found -1",
		"--partition 0 --offset 1 --from 1h":          "offset",
		"--partition -2":                              "found -2",
		"--partition 0 --offset -1":                   "found -1",
		"--from -1h":                                  `found "-1h"`,
		"--partition 0 --offset 11":                   "ends at offset 10",
		"--partition 0 --offset 11 --follow -n 1":     "ends at offset 10",
		"--schema-registry registry.example.com -n 1": "--schema-registry: ",
	} {
		consume(args).WantFailure().WantStderr(want)
	}
}

// The command line creates, changes, controls and shows connectors of a worker.
func TestConnectorsCommand(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	f := p.StartWorker("conf")
	culvert := func(code int, want string, args ...string) {
		t.Helper()
		p.Run(append(args, "--url", f.URL)...).WantCode(code).WantOutput(want)
	}
	file := p.File("customers.properties", e2etest.Source("customers", address, "Customers")...)
	culvert(0, "customers is created", "connectors", "apply", file)
	f.Eventually("its rows", func() bool {
		var states []struct {
			Rows   *float64
			Errors []string
		}
		r := p.Run("status", "--json", "--url", f.URL)
		return json.Unmarshal([]byte(r.Stdout), &states) == nil && len(states) == 1 && states[0].Rows != nil &&
			*states[0].Rows == 91
	})
	culvert(0, "customers needs no change", "connectors", "apply", file)
	file = p.File("customers.properties", append(e2etest.Source("customers", address, "Customers"), "tasks.max=2")...)
	culvert(0, "customers is changed", "connectors", "apply", file)
	f.Await("customers", "runs", e2etest.IsRunning)
	culvert(0, "tasks.max = 2", "connectors", "show", "customers")
	secret := p.File("secret.properties", append(e2etest.Source("secret", address, "Suppliers"),
		"sap.odata.user.pwd=geheim")...)
	culvert(0, "secret is created", "connectors", "apply", secret, "--state", "STOPPED")
	for _, args := range [][]string{{"show", "secret"}, {"show", "secret", "--json"}} {
		p.Run(append([]string{"connectors", "--url", f.URL}, args...)...).WantCode(0).WantNo("geheim").
			WantStdout("[hidden]")
	}
	p.Run("connectors", "list", "--json", "--url", f.URL).WantCode(0).WantNo("geheim").
		WantStdout(`"connector":"secret"`)
	culvert(0, "secret is deleted", "connectors", "delete", "secret")
	other := p.File("other.json", `{"name": "other", "config": {"connector.class": "ODataSource",`+
		`"sap.odata.host.adress": "x"}}`)
	culvert(1, "the nearest known one is sap.odata.host.address", "connectors", "apply", other)
	second := p.File("second.properties", e2etest.Source("second", address, "Products")...)
	culvert(0, "second is created", "connectors", "apply", second, "--state", "STOPPED")
	culvert(0, "second is being resumed", "connectors", "resume", "second")
	f.Await("second", "runs", e2etest.IsRunning)
	culvert(0, "second has restarted task 0", "connectors", "restart", "second", "--task", "0")
	culvert(0, "second has its failed parts restarted", "connectors", "restart", "second", "--failed")
	culvert(0, "second is restarted", "connectors", "restart", "second")
	culvert(1, "1 of 2 connectors failed", "connectors", "pause", "second", "ghost")
	f.Await("second", "is paused", func(s connect.Status) bool { return s.Connector.State == connect.Paused })
	culvert(0, "paused", "connectors", "list")
	culvert(0, "second is being stopped", "connectors", "stop", "second")
	p.Run("connectors", "list", "--url", "nowhere").WantCode(2).WantStderr("--url: expected http://HOST:PORT")
	culvert(2, "expected NAME, found nothing", "connectors", "pause")

	p.Run("__complete", "connectors", "show", "--url", f.URL, "").WantStdout("second\n")
	culvert(0, "second is deleted", "connectors", "delete", "second")
	p.Run("completion", "bash").WantCode(0).WantStdout("bash completion")
	f.Stop()
}

// The table is printed repeatedly with rows per second, also after a request that failed.
func TestStatusIsWatched(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Load()
		switch {
		case r.URL.Path != "/connectors":
			w.WriteHeader(404)
		case r.URL.RawQuery == "expand=motion" && n == 3:
			requests.Add(1)
			fmt.Fprint(w, `{"a":{"motion":{"type":"source","tasks":[{"id":0,"rows":1},{"id":1,"error":"lost"}]}}}`)
		case r.URL.RawQuery == "expand=motion":
			requests.Add(1)
			fmt.Fprintf(w, `{"a":{"motion":{"type":"source","tasks":[{"id":0,"rows":%d},{"id":1,"rows":%[1]d}]}}}`,
				1000*n)
		case n == 1:
			requests.Add(1)
			w.WriteHeader(500)
			io.WriteString(w, `{"error_code":500,"message":"not now"}`)
		default:
			io.WriteString(w, `{"a":{"info":{"name":"a","config":{},"tasks":[],"type":"source"},"status":{"name":"a",`+
				`"connector":{"state":"RUNNING","worker_id":"w"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"w"}],`+
				`"type":"source"}}}`)
		}
	}))
	defer server.Close()
	c := e2etest.NewPlace(t).Start("status", "--watch", "--url", server.URL)
	table := func() (rows []string) {
		for line := range strings.Lines(c.Stdout.String()) {
			if cells := strings.Fields(line); len(cells) > 2 && cells[0] == "a" {
				rows = append(rows, strings.Join(cells[4:7], " "))
			}
		}
		return rows
	}
	c.Eventually("two tables, and an error between them", func() bool {
		return len(table()) > 1 && strings.Contains(c.Stdout.String(), "not now")
	})
	rows := table()
	if rows[0] != "0 - -" { // there is nothing to compare the first one with
		t.Errorf("expected no rate, found %q", rows[0])
	}
	cells := strings.Fields(rows[1])
	if rate, err := strconv.ParseFloat(cells[1], 64); err != nil || rate < 0 || cells[0] != "4000" || cells[1] == "-" {
		t.Errorf("expected 4000 rows and their rate, found %q (%v)", rows[1], err)
	}
	c.Eventually("a table without the metrics of a task, and another one", func() bool { return len(table()) > 3 })
	if rows := table(); rows[2] != "- - -" || rows[3] != "8000 - -" {
		t.Errorf("expected no sum without the metrics of a task, and no rate after it, found %q", rows)
	}
	assert.True(t, strings.Contains(c.Stdout.String(), "a: task 1 has no metrics: lost\n"),
		"expected the reason for missing metrics, found %s", c.Stdout.String())
	c.Signal(syscall.SIGINT)
	c.MustEnd()
}

// Commands follow no redirect to another origin with the worker's password or a configuration's passwords, and print
// none of them.
func TestCommandsKeepPasswords(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Environ = []string{"CULVERT_REST_PASSWORD=gehe/im+42"}
	var mu sync.Mutex
	var otherRequests []string
	otherOrigin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		otherRequests = append(otherRequests, fmt.Sprint(r.Method, r.URL.Path, r.Header.Get("Authorization"),
			string(body)))
		mu.Unlock()
		io.WriteString(w, "[]")
	}))
	defer otherOrigin.Close()
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, otherOrigin.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer redirecting.Close()
	repeating := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message": "not with %s, %s"}`, password, r.Header.Get("Authorization"))
	}))
	defer repeating.Close()
	file := p.File("a.properties", "name=a", "connector.class=ODataSource", "sap.odata.user.pwd=geheim")
	logon := func(url string) string { return strings.Replace(url, "//", "//anna:gehe%2Fim+42@", 1) }
	for _, args := range [][]string{{"connectors", "show", "a"}, {"connectors", "list"}, {"status"},
		{"connectors", "apply", file}, {"offsets", "show", "a"}} {
		for _, serverURL := range []string{redirecting.URL, repeating.URL} {
			call := append(slices.Clone(args), "--url", serverURL, "--user", "anna")
			if args[0] == "offsets" {
				call = append(slices.Clone(args), "--url", logon(serverURL))
			}
			r := p.Run(call...)
			r.WantNo("gehe/im", "YW5uYTpnZWhlL2ltKzQy")
			assert.True(t, serverURL != repeating.URL || strings.Contains(r.Stderr, "not with [hidden]"),
				"culvert %q: expected the answer, found %s", call, r.Stderr)
		}
	}
	received := strings.Join(otherRequests, "\n")
	assert.True(t, received != "" && !strings.Contains(received, "Basic") && !strings.Contains(received, "geheim"),
		"expected requests without passwords elsewhere, found %s", received)
}
