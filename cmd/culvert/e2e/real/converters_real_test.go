//go:build real

package real

import (
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/record"
)

// personOf returns a document of JsonConverter: a record with an optional field of the type.
func personOf(name, typ string) string {
	return `{"schema":{"type":"struct","name":"` + name + `","fields":[{"type":"int32","field":"id"},{"type":"` + typ +
		`","optional":true,"field":"more"}]},"payload":{"id":7,"more":null}}`
}

// throughConverter writes a document by a converter, and returns the ID of the schema and what another converter with
// the same settings reads.
func throughConverter(t *testing.T, class, url, topic, document string,
	settings ...string) (id int, again string, err error) {
	t.Helper()
	b := &record.Batch{Registry: record.NewRegistry()}
	config := map[string]string{"schema.registry.url": url}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		config[name] = value
	}
	use := convert.Options{Schemas: b.Registry, OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
		return registry.Open(s, nil, slog.New(slog.DiscardHandler))
	}}
	make := func(class string, config map[string]string) convert.Converter {
		t.Helper()
		c, err := convert.New(class, config, use)
		e2etest.NoError(t, err)
		return c
	}
	json := make(convert.ClassJSON, nil)
	d, err := json.Decode(t.Context(), topic, []byte(document), b)
	e2etest.NoError(t, err)
	out, _, err := make(class, config).Encode(t.Context(), nil, math.MaxInt32, topic, b, d)
	if err != nil {
		return 0, "", err
	}
	if d, err = make(class, config).Decode(t.Context(), topic, out, b); err != nil {
		return 0, "", err
	}
	encoded, _, err := json.Encode(t.Context(), nil, math.MaxInt32, topic, b, d)
	return int(binary.BigEndian.Uint32(out[1:5])), string(encoded), err
}

// convertersOfARegistry lets both converters register, look up and use schemas as each setting specifies.
func convertersOfARegistry(t *testing.T, url string) {
	client, err := sr.NewClient(sr.URLs(url))
	e2etest.NoError(t, err)
	for _, class := range []string{convert.ClassAvro, convert.ClassJSONSchema} {
		t.Run(class[strings.LastIndexByte(class, '.')+1:], func(t *testing.T) {
			topic := "topic-of-" + class[strings.LastIndexByte(class, '.')+1:]
			write := func(document string, settings ...string) (int, error) {
				t.Helper()
				id, again, err := throughConverter(t, class, url, topic, document, settings...)
				if err == nil && !strings.HasSuffix(again, `"payload":{"id":7,"more":null}}`) {
					t.Errorf("expected what was written, found %s", again)
				}
				return id, err
			}
			must := func(document string, settings ...string) int {
				t.Helper()
				id, err := write(document, settings...)
				e2etest.NoError(t, err)
				return id
			}
			stops := func(what string, err error, want string) {
				t.Helper()
				if !fault.IsFatal(err) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: expected an error that stops and says %q, found %v", what, want, err)
				}
			}
			name := "n." + topic[len("topic-of-"):]
			old := personOf(name, "string")
			wider := personOf(name, "int64")

			_, err := write(old, "auto.register.schemas=false")
			stops("nothing registered", err, "404")
			first := must(old)
			if again := must(old); again != first {
				t.Errorf("expected the schema to be registered once, found %d and %d", first, again)
			}
			if id := must(old, "auto.register.schemas=false"); id != first {
				t.Errorf("looked up: expected %d, found %d", first, id)
			}
			if id := must(old, "auto.register.schemas=false", "use.latest.version=true"); id != first {
				t.Errorf("the newest: expected %d, found %d", first, id)
			}
			if id := must(old, "normalize.schemas=true"); id != first {
				t.Errorf("normalized: expected %d, found %d", first, id)
			}
			second := must(wider)
			if second == first {
				t.Errorf("expected another schema to have another id than %d", first)
			}
			if id := must(old, "auto.register.schemas=false", fmt.Sprint("use.schema.id=", first)); id != first {
				t.Errorf("by its id: expected %d, found %d", first, id)
			}
			_, err = write(old, "auto.register.schemas=false", "use.latest.version=true")
			stops("the newest is another", err, "differs from the record's schema")
			_, err = write(old, "auto.register.schemas=false", fmt.Sprint("use.schema.id=", second))
			stops("the id is another's", err, fmt.Sprint("schema ", second, " of use.schema.id"))
			_, err = write(old, "auto.register.schemas=false", "use.schema.id=1000000")
			stops("the id is nobody's", err, "404")

			strategy := "value.subject.name.strategy=io.confluent.kafka.serializers.subject."
			must(old, strategy+"RecordNameStrategy")
			must(old, strategy+"TopicRecordNameStrategy")
			subjects, err := client.Subjects(t.Context())
			e2etest.NoError(t, err)
			for _, want := range []string{topic + "-value", name, topic + "-" + name} {
				if !slices.Contains(subjects, want) {
					t.Errorf("expected the subject %s, found %q", want, subjects)
				}
			}
		})
	}
}

// guardedRegistry copies rows through a registry behind TLS that requires a user and password, and through one that
// requires a token; without either the source stops before its first row and reports why.
func guardedRegistry(t *testing.T, registry string) {
	behind, err := url.Parse(registry)
	e2etest.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: behind.Scheme, Host: behind.Host})
		r.Out.Header.Del("Authorization")
	}}
	allowed := []string{"Basic dXNlcjpwYTpzcw==", "Bearer the-token"} // user:pa:ss
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(allowed, r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	trust := []string{"schema.registry.ssl.truststore.type=PEM", "schema.registry.ssl.truststore.location=" + roots}
	guarded := server.URL + behind.Path
	e2etest.CopyThroughAvro(t, registry, guarded, append(trust, "bearer.auth.credentials.source=STATIC_TOKEN",
		"bearer.auth.token=the-token")...)
	e2etest.CopyThroughAvro(t, registry, strings.Replace(guarded, "https://", "https://user:pa%3Ass@", 1), trust...)

	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	b := e2etest.StartEmbeddedBroker(t)
	worker := e2etest.AvroWorker(b.Addr(), guarded)
	for _, setting := range append(trust, "bearer.auth.token=another") {
		worker = append(worker, "key.converter."+setting, "value.converter."+setting)
	}
	r := p.RunOnce(p.File("worker.properties", worker...),
		p.File("from.properties", append(e2etest.Source("from", address, "Products"), "errors.tolerance=all")...))
	if r.Code != 1 || !strings.Contains(r.Stderr, "status 401") || strings.Contains(r.Stderr, "another") {
		t.Errorf("expected exit 1 with status 401, found %d\n%s", r.Code, r.Stderr)
	}
	if n := endOf(t, b.Addr(), "Products"); n != 0 {
		t.Errorf("expected no record, found %d", n)
	}
}
