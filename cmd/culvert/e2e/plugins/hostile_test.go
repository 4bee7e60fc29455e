package plugins

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/wit"
)

// sourceLogs maps the misbehaviours of the guest testdata/guests/mad, all of them well-formed values, to the log of
// their connector; "" means that it continues and costs no more than another. A new one needs a line here and in the
// guest.
var sourceLogs = map[string]string{
	"sane":     "",
	"tree":     "schema",
	"deep":     "schema",
	"broad":    "schema",
	"long":     "schema",
	"feeds":    "feeds",
	"registry": "", // a page in 100 ms and more, each with a schema of its own
	"control":  "producer.max.request.size",
	"many":     "plugin.mad.limits.result.bytes",
	"offset":   "offset",
	"more":     "",
	"trace":    "TRACE",
	"client":   "sap-user",
	"offsets":  "__consumer_offsets",
	"empties":  "structures without bytes",
	"nested":   "nested too deeply",
	"digits":   "4096 bytes",
	"scale":    "expected a scale from -1000 to 1000",
	"asks":     "at most 10000 requests of the plugin",
	"follow":   "",
	"spin":     "", // it is at work when the worker is told to end
}

// sinkLogs is sourceLogs for the guest's sink, which writes the rows of the honest connector.
var sinkLogs = map[string]string{
	"sane":     "",
	"topics":   "at most 10000 topics",
	"asks":     "at most 10000 requests of the plugin",
	"trace":    "TRACE",
	"client":   "sap-password",
	"none":     "encode",
	"twice":    "encode",
	"rowless":  "has no rows",
	"again":    "for the 17th time",
	"verdicts": "one for each row",
	"retries":  "",
	"settles":  "",
	"spin":     "",
}

// secret must reach no plugin and no log.
const secret = "hunter2-of-the-user"

// loopingModule returns a module of some 100 KB that takes a compiler minutes.
func loopingModule() []byte {
	m := guesttest.StaticModule(wit.Description{Name: "loops", Version: "1.0.0",
		Components: []wit.Component{{Name: "example.Loops", Kind: wit.ComponentTransformation}}}, "",
		wit.InterfaceTransform)
	loop := []byte{0x03, 0x40, 0x41, 0, 0x28, 2, 0, 0x0d, 0, 0x0b}
	m.Exports = append(m.Exports, guesttest.Function{Name: "f", Body: bytes.Repeat(loop, 10_600)})
	return m.Bytes()
}

// exportingModule returns a module that declares 5 million exports.
func exportingModule() []byte {
	items := binary.AppendUvarint(nil, 5_000_000)
	items = append(items, bytes.Repeat([]byte{0, 0, 0}, 5_000_000)...)
	return append(binary.AppendUvarint([]byte("\x00asm\x01\x00\x00\x00\x07"), uint64(len(items))), items...)
}

// rivalWriter returns a function that writes a plugin that has a class of another one.
func rivalWriter(name, class string) func(path string) error {
	return func(path string) error {
		return os.WriteFile(path, guesttest.Static(wit.Description{Name: name, Version: "9.0.0",
			Components: []wit.Component{{Name: class, Kind: wit.ComponentSource}}}, "", wit.InterfaceSource), 0o600)
	}
}

// hostileFiles are the files of a folder that no connector uses, with the message about each.
var hostileFiles = map[string]struct {
	write func(path string) error
	log   string
}{
	"loops": {
		write: func(path string) error { return os.WriteFile(path, loopingModule(), 0o600) },
		log:   "effort of compiling function",
	},
	"many": {
		write: func(path string) error { return os.WriteFile(path, exportingModule(), 0o600) },
		log:   "exports: found 5000000",
	},
	"zero": {write: func(path string) error { return os.Symlink("/dev/zero", path) }, log: "found a device"},
	"pipe": {write: func(path string) error { return syscall.Mkfifo(path, 0o600) }, log: "found a pipe"},
	"sparse": {
		write: func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 10<<30)
		},
		log: "at most 67108864 bytes",
	},
	"twin-a": {write: rivalWriter("twin-a", "example.Twin"), log: "loaded"},
	"twin-b": {write: rivalWriter("twin-b", "example.Twin"), log: "loaded"},
}

// Whatever well-formed values plugins return and whatever files are in the folder, another connector delivers every row
// once, the worker stays below 1 GB, and SIGTERM ends it in 5 s.
func TestHostilePlugins(t *testing.T) {
	t.Parallel()
	const rows = 300
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 20})
	dir := e2etest.CopyPlugins(t)
	e2etest.WriteFile(t, dir, "mad.wasm", guesttest.Bytes(t, "../../testdata/guests/mad"))
	for name, f := range hostileFiles {
		require.NoError(t, f.write(filepath.Join(dir, name+".wasm")))
	}
	host, port, _ := net.SplitHostPort(address)
	listen := porttest.Address(t)
	args := []string{"run", "--set", "listeners=http://" + listen, "--set", "plugin.mad.limits.call.ms=3600000",
		"--plugins", dir, "--data", p.Data,
		p.File("honest.properties", e2etest.Source("honest", address, "Orders")...)}
	p.File("secrets", "note="+secret)
	addConnector := func(name, class, mode string, settings ...string) {
		args = append(args, p.File(name+".properties", append(settings, "name="+name, "connector.class="+class,
			"mad.scheme=http", "mad.port="+port, "mad.mode="+mode, "mad.retries=0", "errors.tolerance=all",
			"sap.odata.user.pwd="+secret, "mad.note=${file:"+filepath.Join(p.Dir, "secrets")+":note}",
			"unknown.settings=warn")...))
	}
	for mode := range sourceLogs {
		addConnector(mode, "example.Mad", mode, "mad.address="+host)
	}
	for mode := range sinkLogs {
		addConnector("sink-"+mode, "example.MadSink", mode, "mad.address="+host, "topics=Orders")
	}
	addConnector("twin", "example.Twin", "sane")
	c := p.Start(args...)
	deadline := time.After(e2etest.WaitLimit) // for all of them together, on a machine that has other things to do
	awaitLog := func(about, want string) {
		t.Helper()
		for {
			for line := range strings.Lines(c.Stderr.String()) {
				if strings.Contains(line, about) && strings.Contains(line, want) {
					return
				}
			}
			select {
			case <-deadline:
				t.Fatalf("expected a line with %q and %q in the log, found\n%s", about, want, c.Stderr.String())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	for mode, want := range sourceLogs {
		awaitLog("connector="+mode+" ", want)
	}
	for mode, want := range sinkLogs {
		awaitLog("connector=sink-"+mode+" ", want)
	}
	awaitLog("twin", "expected one plugin that has it, found twin-a, twin-b")
	awaitLog("mad was given", "[hidden]")
	for name, f := range hostileFiles {
		awaitLog(name+".wasm", f.log)
	}
	c.AwaitRecords(p, "Orders", rows)
	c.StopInTime().WantNo(secret)
	p.CheckOrders(rows, func(int) bool { return false })
}
