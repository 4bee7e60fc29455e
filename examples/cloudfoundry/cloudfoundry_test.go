// Package cloudfoundry contains the files for running a worker on Cloud Foundry.
package cloudfoundry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// application is the part of a manifest that this test reads.
type application struct {
	Name                string            `yaml:"name"`
	Path                string            `yaml:"path"`
	Buildpacks          []string          `yaml:"buildpacks"`
	Command             string            `yaml:"command"`
	Instances           int               `yaml:"instances"`
	Memory              string            `yaml:"memory"`
	DiskQuota           string            `yaml:"disk_quota"`
	HealthCheckType     string            `yaml:"health-check-type"`
	HealthCheckEndpoint string            `yaml:"health-check-http-endpoint"`
	HealthCheckTimeout  int               `yaml:"health-check-invocation-timeout"`
	Timeout             int               `yaml:"timeout"`
	Services            []string          `yaml:"services"`
	Env                 map[string]string `yaml:"env"`
	Routes              []struct {
		Route string `yaml:"route"`
	} `yaml:"routes"`
}

// manifest reads manifest.yml. An unknown key is an error.
func manifest(t *testing.T) application {
	t.Helper()
	text, err := os.ReadFile("manifest.yml")
	require.NoError(t, err)
	var m struct {
		Version      int           `yaml:"version"`
		Applications []application `yaml:"applications"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&m))
	require.True(t, m.Version == 1 && len(m.Applications) == 1, "expected version 1 and one application, found %+v", m)
	return m.Applications[0]
}

// The manifest runs one binary with a health check. README.md creates its services and files. Each variable is used.
func TestManifest(t *testing.T) {
	a := manifest(t)
	assert.True(t, slices.Equal(a.Buildpacks, []string{"binary_buildpack"}) && a.HealthCheckType == "http" &&
		a.HealthCheckEndpoint == "/health" && a.Instances == 1,
		"expected one instance of a binary with an HTTP health check, found %+v", a)
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, s := range a.Services {
		assert.True(t, regexp.MustCompile(`(?m)^cf create-service \w+ \w+ `+regexp.QuoteMeta(s)+`$`).Match(page),
			"expected README.md to create the service %s", s)
	}
	for _, command := range []string{"mkdir -p " + strings.TrimPrefix(a.Path, "../../"),
		"cp -r examples/cloudfoundry/config " + strings.TrimPrefix(a.Path, "../../") + "/"} {
		assert.True(t, strings.Contains(string(page), "\n"+command+"\n"), "expected %q in README.md", command)
	}
	for _, r := range a.Routes {
		assert.True(t, strings.HasSuffix(r.Route, ".internal"),
			"REST has no users of its own: expected internal routes, found %s", r.Route)
	}
	for variable := range a.Env {
		isUsed := strings.HasPrefix(variable, "GO")
		for _, file := range []string{"worker.properties", "orders.properties"} {
			text, err := os.ReadFile(filepath.Join("config", file))
			require.NoError(t, err)
			isUsed = isUsed || strings.Contains(string(text), "${env:"+variable+"}")
		}
		assert.True(t, isUsed, "expected a file that uses the variable %s, found none", variable)
	}
}

// Secrets of the landscape. None of them may be logged.
const (
	kafkaPassword = "hush-hush-kafka"
	sapPassword   = "hush-hush-sap"
)

// The application runs by the manifest's command and the platform's variables. Its service and brokers are reachable
// through SAP Connectivity only; their names cannot be resolved otherwise.
func TestApplicationRunsOnCloudFoundry(t *testing.T) {
	a := manifest(t)
	btp := connectivitytest.NewServer()
	t.Cleanup(btp.Close)
	cluster := newCluster(t, btp, strings.Split(a.Env["KAFKA_BROKERS"], ","))
	rows := newService(t, btp)

	port := freePort(t)
	app := droplet(t, cluster.authority)
	guesttest.ShareCode(t, filepath.Join(app, "data"))
	log := &output{}
	command := exec.Command("bash", "-c", a.Command)
	command.Dir = app
	command.Stdout = log
	command.Stderr = log
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + app, "PORT=" + port, "VCAP_APP_PORT=" + port,
		"VCAP_SERVICES=" + btp.VCAP(0),
		`VCAP_APPLICATION={"application_name":"culvert","limits":{"mem":512}}`, "CF_INSTANCE_INDEX=0",
		"CULVERT_PLUGIN_PATH=" + filepath.Join(app, "built-in")}
	vars := strings.NewReplacer("((kafka-user))", "culvert", "((kafka-password))", kafkaPassword)
	for name, value := range a.Env {
		command.Env = append(command.Env, name+"="+vars.Replace(value))
	}
	require.NoError(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		if t.Failed() {
			t.Logf("%s", log)
		}
	})

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	waitHealthy(ctx, t, "http://127.0.0.1:"+port+a.HealthCheckEndpoint, ended)
	assert.Equal(t, rows, cluster.consume(ctx, t, "SalesOrders", rows), "records")

	// as the platform stops it
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		assert.NoError(t, err, "exit code 0 after SIGTERM")
	case <-time.After(100 * time.Second): // ten times as long: a machine may have other things to do
		t.Error("expected the end soon after SIGTERM: the platform kills after 10 s")
	}
	for _, secret := range []string{kafkaPassword, sapPassword, btp.Connectivity.Secret, btp.Destination.Secret,
		"eyJ"} {
		assert.True(t, !strings.Contains(log.String(), secret), "expected no secret in the log, found %q", secret)
	}
	for _, entry := range btp.Ledger() {
		if entry.Port == "destination" && entry.Code == http.StatusOK {
			return
		}
	}
	t.Error("expected a request for the destination, found none")
}

// output collects the output of a process.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// droplet returns the application's folder as README.md fills it, with the demo service's names instead of SAP's, and
// with the plugins that `make` embeds in the binary.
func droplet(t *testing.T, authority []byte) string {
	t.Helper()
	app := t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(app, "culvert"), "../../cmd/culvert").CombinedOutput()
	require.True(t, err == nil, "go build: %v\n%s", err, out)
	for _, folder := range []string{"config", "built-in"} {
		require.NoError(t, os.Mkdir(filepath.Join(app, folder), 0o755))
	}
	write := func(name string, data []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(app, name), data, 0o644))
	}
	names := strings.NewReplacer("/sap/opu/odata/iwbep/GWSAMPLE_BASIC", "/V2/Northwind/Northwind.svc", "SalesOrderSet",
		"Orders")
	for _, file := range []string{"worker.properties", "orders.properties"} {
		text, err := os.ReadFile(filepath.Join("config", file))
		require.NoError(t, err)
		write("config/"+file, []byte(names.Replace(string(text))))
	}
	write("config/kafka-ca.pem", authority)
	write("built-in/odata-source.wasm", guesttest.Bytes(t, "../../plugins/odata-source"))
	return app
}

// newService starts a service behind the Cloud Connector with a destination for it. It returns the number of orders.
func newService(t *testing.T, btp *connectivitytest.Server) (rows int) {
	t.Helper()
	const orders = 60
	demo, err := odatatest.New(odatatest.Options{Rows: orders, PageSize: 25, User: "reader",
		Password: sapPassword}).Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { demo.Close() })
	btp.Map("s4.virtual:8000", strings.TrimPrefix(demo.URL, "http://"))
	answer, err := json.Marshal(map[string]any{
		"owner": map[string]any{"SubaccountId": "sub-1", "InstanceId": nil},
		"destinationConfiguration": map[string]string{
			"Name":           "S4",
			"Type":           "HTTP",
			"URL":            "http://s4.virtual:8000",
			"ProxyType":      "OnPremise",
			"Authentication": "BasicAuthentication",
			"User":           "reader",
			"Password":       sapPassword,
			"sap-client":     "100",
		},
	})
	require.NoError(t, err)
	btp.SetDestination("S4", string(answer))
	return orders
}

// cluster is Kafka behind the Cloud Connector, with TLS, users, and brokers that advertise virtual names.
type cluster struct {
	authority []byte // PEM
	roots     *x509.CertPool
	real      map[string]string // the real addresses by the virtual ones
}

// listener reports another address than its own.
type listener struct {
	net.Listener
	advertised string
}

func (l listener) Addr() net.Addr  { return l }
func (l listener) Network() string { return "tcp" }
func (l listener) String() string  { return l.advertised }

// newCluster starts a cluster whose brokers have these virtual addresses.
func newCluster(t *testing.T, btp *connectivitytest.Server, brokers []string) *cluster {
	t.Helper()
	c := &cluster{roots: x509.NewCertPool(), real: map[string]string{}}
	var names []string
	for _, b := range brokers {
		host, _, _ := net.SplitHostPort(b)
		names = append(names, host)
	}
	var pair tls.Certificate
	c.authority, pair = certificate(t, names)
	c.roots.AppendCertsFromPEM(c.authority)
	next := 0
	fake, err := kfake.NewCluster(kfake.NumBrokers(len(brokers)), kfake.DefaultNumPartitions(2),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "culvert", kafkaPassword),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			virtual := brokers[next]
			next++
			c.real[virtual] = l.Addr().String()
			btp.Map(virtual, l.Addr().String())
			return listener{l, virtual}, nil
		}))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	return c
}

// certificate returns a self-signed certificate.
func certificate(t *testing.T, names []string) (authority []byte, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kafka"},
		DNSNames:              names,
		IsCA:                  true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tls.Certificate{Certificate: [][]byte{der},
		PrivateKey: key}
}

// consume counts records of a topic until it has found want of them or the context ends. It connects on the brokers'
// side of the Cloud Connector.
func (c *cluster) consume(ctx context.Context, t *testing.T, topic string, want int) (n int) {
	t.Helper()
	var seeds []string
	for virtual := range c.real {
		seeds = append(seeds, virtual)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.UnknownTopicRetries(-1),
		kgo.SASL(scram.Auth{User: "culvert", Pass: kafkaPassword}.AsSha512Mechanism()),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			return (&tls.Dialer{Config: &tls.Config{RootCAs: c.roots, ServerName: host}}).DialContext(ctx, network,
				c.real[address])
		}))
	require.NoError(t, err)
	defer client.Close()
	for n < want && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			assert.True(t, bytes.Contains(r.Value, []byte("OrderID")), "expected an order, found %.200s", r.Value)
			n++
		})
	}
	return n
}

// waitHealthy sends the platform's health checks until one succeeds.
func waitHealthy(ctx context.Context, t *testing.T, address string, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := "nothing listens"
	for {
		if answer, err := http.Get(address); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			last = fmt.Sprint("answered ", answer.Status)
		}
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("expected a worker that runs, found one that has ended: %v", err)
		case <-ctx.Done():
			t.Fatalf("expected health, found none in time: %s", last)
		}
	}
}

// freePort returns a port that no program listens on.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	return port
}
