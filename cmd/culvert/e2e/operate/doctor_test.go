package operate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

var northwind = strings.TrimSuffix(service.NorthwindPath, "/")

// behind is a broker that is reachable through the double alone, and the lines of a worker's file for it.
func behind(t *testing.T, p *e2e.Place) (double *connectivitytest.Server, worker []string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "rows"))
	e2e.NoError(t, err)
	t.Cleanup(c.Close)
	double = connectivitytest.NewServer()
	t.Cleanup(double.Close)
	broker := c.ListenAddrs()[0]
	double.Map("kafka.virtual:9092", broker)
	key := p.File("key.json", double.ServiceKey(0))
	return double, []string{"bootstrap.servers=" + broker, "kafka.proxy.type=sap-connectivity",
		"kafka.proxy.service.key=" + key,
		"kafka.proxy.address.map=" + broker + "=kafka.virtual:9092"}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	folder := e2e.Plugins(t, "odata-sink")
	double, lines := behind(t, p)
	worker := p.File("worker.properties", lines...)
	_, address := e2e.Demo(t, service.Options{Switches: service.Switches{CSRF: true}})
	connector := p.File("orders.properties", append(e2e.Source("orders", address, "Products"), "sap.odata.user.name=u",
		"sap.odata.user.pwd=p")...)
	viaKafka := []string{"token", "cloud connectors", "proxy HOST", "greeting", "authentication", "connect HOST",
		"metadata HOST"}
	viaService := []string{"settings of the service", "connect HOST", "service " + northwind, "metadata " + northwind,
		"entityset " + northwind + "/Products", "catalogue"}

	r := p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data)
	if d := cmp.Diff(slices.Concat(viaKafka, viaService), e2e.Steps(t, r)); r.Code != 0 || d != "" {
		t.Errorf("exit %d\n%s%s\n%s", r.Code, d, r.Stdout, r.Stderr)
	}

	host, port, _ := strings.Cut(address, ":")
	writer := p.File("writer.properties", "name=w", "connector.class=ODataSink", "topics=T",
		"sap.odata.host.protocol=http", "sap.odata.host.address="+host,
		"sap.odata.host.port="+port, "sap.odata#00.service="+service.NorthwindPath, "sap.odata#00.entityset=Products",
		"sap.odata#00.topic=T")
	p.Run("doctor", "-p", writer, "--plugins", folder, "--data", p.Data).
		Exits(0).Prints("csrf "+northwind, "the service gives tokens for writing")

	double.Unmap("kafka.virtual:9092")
	r = p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data).Exits(1)
	if d := cmp.Diff(append(viaKafka[:5:5], "connect HOST FAIL kafka.proxy.address.map"), e2e.Steps(t, r)); d != "" {
		t.Error(d)
	}
	r = p.Run("doctor", "-p", worker).Exits(1)
	last := r.Stdout[strings.LastIndex(strings.TrimSpace(r.Stdout), "\n")+1:]
	e2e.Contains(t, "the last line", last, "FAIL", "ms", "kafka.proxy.address.map:", "kafka.virtual:9092", "Access Control")
	if r.Stderr != "" {
		t.Errorf("stderr %q", r.Stderr)
	}
}

func TestDoctorOfAService(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	folder := e2e.Plugins(t)
	for _, c := range []struct {
		name    string
		options service.Options
		lines   []string
		want    string
	}{
		{"nobody listens", service.Options{}, []string{"sap.odata.host.port=1"},
			"connect HOST FAIL sap.odata.host.address"},
		{"no such service", service.Options{}, []string{"sap.odata#00.service=/nowhere"},
			"service /nowhere FAIL sap.odata#00.service"},
		{"no such set", service.Options{}, []string{"sap.odata#00.entityset=Product"},
			"entityset " + northwind + "/Product FAIL sap.odata#00.entityset"},
		{"a set that is refused", service.Options{Switches: service.Switches{Match: "/Products?", Status: 403,
			StatusCount: 1000}}, nil,
			"entityset " + northwind + "/Products FAIL sap.odata#00.entityset"},
		{"wrong password", service.Options{User: "u", Password: "p"}, []string{"sap.odata.user.name=u",
			"sap.odata.user.pwd=wrong"},
			"service " + northwind + " FAIL sap.odata.user.name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, address := e2e.Demo(t, c.options)
			file := p.File("c.properties", append(e2e.Source("c", address, "Products"), c.lines...)...)
			r := p.Run("doctor", "-p", file, "--json", "--plugins", folder, "--data", e2e.NewPlace(t).Data)
			if got := e2e.Steps(t, r); r.Code != 1 || len(got) == 0 || got[len(got)-1] != c.want {
				t.Errorf("exit %d, %q, expected %q at the end\n%s%s", r.Code, got, c.want, r.Stdout, r.Stderr)
			}
		})
	}
}

// A doctor who waits for the end of an outage, or asks again and again, shows nothing.
func TestDoctorAsksOnce(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	folder := e2e.Plugins(t)
	s, address := e2e.Demo(t, service.Options{Switches: service.Switches{Status: 503, StatusCount: 1000}})
	double := connectivitytest.NewServer()
	t.Cleanup(double.Close)
	key := "sap.odata.proxy.service.key=" + p.File("key.json", double.ServiceKey(0))
	away := append(e2e.Source("away", "s4.virtual:8000", "Products"), "sap.odata.proxy.type=sap-connectivity-http",
		"sap.odata.proxy.location.id=DE-Berlin", key)
	for name, lines := range map[string][]string{"busy": e2e.Source("busy", address, "Products"), "away": away} {
		p.Run("doctor", "-p", p.File(name+".properties", lines...), "--json", "--plugins", folder, "--data", p.Data).
			Exits(1).Prints("HTTP 503")
	}
	if n := s.Ledger().Total; n != 1 {
		t.Errorf("the service was asked %d times: %+v", n, s.Ledger().Requests)
	}
	if n := double.Count(func(e connectivitytest.Entry) bool { return e.Port == "http" }); n != 1 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

func TestDoctorWronglyUsed(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	for _, c := range [][]string{
		{"doctor"},
		{"doctor", "-p", "missing.properties"},
		{"doctor", "-p", p.File("broken.properties", "bootstrap.servers=h:1", "kafka.proxy.type=pigeon")},
		{"doctor", "-p", p.File("embedded.properties", "bootstrap.servers=embedded")},
		{"tunnel"},
		{"tunnel", "-p", p.File("none.properties", "kafka.proxy.type=none")},
	} {
		if r := p.Run(c...); r.Code != 2 || r.Stderr == "" {
			t.Errorf("%q: exit %d, %q", c, r.Code, fmt.Sprint(r.Stdout, r.Stderr))
		}
	}
}
