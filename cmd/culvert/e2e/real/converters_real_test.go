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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/record"
)

// personDocument returns a document of JsonConverter: a record with an optional field of the type.
func personDocument(name, typ string) string {
	return `{"schema":{"type":"struct","name":"` + name + `","fields":[{"type":"int32","field":"id"},{"type":"` + typ +
		`","optional":true,"field":"more"}]},"payload":{"id":7,"more":null}}`
}

// convertAgain writes a document by a converter, and returns the ID of the schema and what another converter with
// the same settings reads.
func convertAgain(t *testing.T, class, url, topic, document string,
	settings ...string) (id int, readBack string, err error) {
	t.Helper()
	batch := &record.Batch{Registry: record.NewRegistry()}
	config := map[string]string{"schema.registry.url": url}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		config[name] = value
	}
	openRegistry := func(s registry.Settings) (*registry.Client, error) {
		return registry.Open(s, nil, slog.New(slog.DiscardHandler))
	}
	options := convert.Options{Schemas: batch.Registry, OpenRegistry: openRegistry}
	open := func(class string, config map[string]string) convert.Converter {
		t.Helper()
		c, err := convert.New(class, config, options)
		require.NoError(t, err)
		return c
	}
	jsonConverter := open(convert.ClassJSON, nil)
	decoded, err := jsonConverter.Decode(t.Context(), topic, []byte(document), batch)
	require.NoError(t, err)
	encoded, _, err := open(class, config).Encode(t.Context(), nil, math.MaxInt32, topic, batch, decoded)
	if err != nil {
		return 0, "", err
	}
	if decoded, err = open(class, config).Decode(t.Context(), topic, encoded, batch); err != nil {
		return 0, "", err
	}
	again, _, err := jsonConverter.Encode(t.Context(), nil, math.MaxInt32, topic, batch, decoded)
	return int(binary.BigEndian.Uint32(encoded[1:5])), string(again), err
}

// testConvertersOfRegistry lets both converters register, look up and use schemas as each setting specifies.
func testConvertersOfRegistry(t *testing.T, url string) {
	client, err := sr.NewClient(sr.URLs(url))
	require.NoError(t, err)
	for _, class := range []string{convert.ClassAvro, convert.ClassJSONSchema} {
		t.Run(class[strings.LastIndexByte(class, '.')+1:], func(t *testing.T) {
			topic := "topic-of-" + class[strings.LastIndexByte(class, '.')+1:]
			write := func(document string, settings ...string) (int, error) {
				t.Helper()
				id, readBack, err := convertAgain(t, class, url, topic, document, settings...)
				assert.True(t, err != nil || strings.HasSuffix(readBack, `"payload":{"id":7,"more":null}}`),
					"expected what was written, found %s", readBack)
				return id, err
			}
			mustWrite := func(document string, settings ...string) int {
				t.Helper()
				id, err := write(document, settings...)
				require.NoError(t, err)
				return id
			}
			checkFatal := func(what string, err error, want string) {
				t.Helper()
				assert.True(t, fault.IsFatal(err) && strings.Contains(err.Error(), want),
					"%s: expected an error that stops and says %q, found %v", what, want, err)
			}
			name := "n." + topic[len("topic-of-"):]
			narrow := personDocument(name, "string")
			wide := personDocument(name, "int64")

			_, err := write(narrow, "auto.register.schemas=false")
			checkFatal("nothing registered", err, "404")
			narrowID := mustWrite(narrow)
			if readBack := mustWrite(narrow); readBack != narrowID {
				t.Errorf("expected the schema to be registered once, found %d and %d", narrowID, readBack)
			}
			assert.Equal(t, narrowID, mustWrite(narrow, "auto.register.schemas=false"), "looked up")
			id := mustWrite(narrow, "auto.register.schemas=false", "use.latest.version=true")
			assert.Equal(t, narrowID, id, "the newest")
			assert.Equal(t, narrowID, mustWrite(narrow, "normalize.schemas=true"), "normalized")
			wideID := mustWrite(wide)
			assert.True(t, wideID != narrowID, "expected another schema to have another id than %d", narrowID)
			id = mustWrite(narrow, "auto.register.schemas=false", fmt.Sprint("use.schema.id=", narrowID))
			assert.Equal(t, narrowID, id, "by its id")
			_, err = write(narrow, "auto.register.schemas=false", "use.latest.version=true")
			checkFatal("the newest is another", err, "differs from the record's schema")
			_, err = write(narrow, "auto.register.schemas=false", fmt.Sprint("use.schema.id=", wideID))
			checkFatal("the id is another's", err, fmt.Sprint("schema ", wideID, " of use.schema.id"))
			_, err = write(narrow, "auto.register.schemas=false", "use.schema.id=1000000")
			checkFatal("the id is nobody's", err, "404")

			strategy := "value.subject.name.strategy=io.confluent.kafka.serializers.subject."
			mustWrite(narrow, strategy+"RecordNameStrategy")
			mustWrite(narrow, strategy+"TopicRecordNameStrategy")
			subjects, err := client.Subjects(t.Context())
			require.NoError(t, err)
			for _, want := range []string{topic + "-value", name, topic + "-" + name} {
				assert.True(t, slices.Contains(subjects, want), "expected the subject %s, found %q", want, subjects)
			}
		})
	}
}

// testGuardedRegistry copies rows through a registry behind TLS that requires a user and password, and through one that
// requires a token; without either the source stops before its first row and reports why.
func testGuardedRegistry(t *testing.T, registry string) {
	behind, err := url.Parse(registry)
	require.NoError(t, err)
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
	assert.True(t, r.Code == 1 && strings.Contains(r.Stderr, "status 401") && !strings.Contains(r.Stderr, "another"),
		"expected exit 1 with status 401, found %d\n%s", r.Code, r.Stderr)
	assert.Equal(t, 0, countTopic(t, b.Addr(), "Products"), "record")
}
