//go:build real

package real

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Rows pass through an Avro topic with a real registry, Apicurio's; converters use it as each of their settings
// specifies. A schema that it rejects stops the source before its first row, until the registry accepts it.
func TestRealRegistry(t *testing.T) {
	t.Parallel()
	port := e2etest.FreePort(t)
	e2etest.StartPeer(t, "registry/start.sh", t.TempDir(), nil, port, t.TempDir())
	url := "http://127.0.0.1:" + port + "/apis/ccompat/v7"
	t.Run("converters", func(t *testing.T) { testConvertersOfRegistry(t, url) })
	t.Run("guarded", func(t *testing.T) { testGuardedRegistry(t, url) })
	t.Run("metadata in motion", func(t *testing.T) { testChangingMetadata(t, url) })
}

// changingService is a service whose entity type changes with each step; each step adds a row of its type.
type changingService struct {
	mu   sync.Mutex
	step int
}

var changingSteps = []struct{ properties, row string }{
	{properties: "A Int32,B String", row: `{"ID":1,"A":5,"B":"x"}`},
	{properties: "A Int32,B String,C String", row: `{"ID":2,"A":6,"B":"y","C":"new"}`}, // added
	{properties: "A Int32,C String", row: `{"ID":3,"A":7,"C":"z"}`},                    // removed
	{properties: "A Int64,C String", row: `{"ID":4,"A":"5000000000","C":null}`},        // widened
	{properties: "A String,C String", row: `{"ID":5,"A":"five","C":null}`},             // retyped
}

func (c *changingService) setStep(step int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step = step
}

func (c *changingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	step := c.step
	c.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		properties := ""
		for property := range strings.SplitSeq(changingSteps[step].properties, ",") {
			name, typ, _ := strings.Cut(property, " ")
			properties += `<Property Name="` + name + `" Type="Edm.` + typ + `"/>`
		}
		fmt.Fprintf(w, `<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key>`+
			`<Property Name="ID" Type="Edm.Int32" Nullable="false"/>%s</EntityType>`+
			`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`, properties)
		return
	}
	from := 0
	if _, token, ok := strings.Cut(r.URL.RawQuery, "deltatoken="); ok {
		fmt.Sscanf(token, "%d", &from)
	}
	var rows []string
	for _, c := range changingSteps[from : step+1] {
		rows = append(rows, c.row)
	}
	w.Header().Set("Preference-Applied", "odata.track-changes")
	fmt.Fprintf(w, `{"d":{"results":[%s],"__delta":"X?!deltatoken=%d"}}`, strings.Join(rows, ","), step+1)
}

// testChangingMetadata changes the properties of a feed in delta mode under a registry that accepts compatible schemas
// only: added, removed and widened properties continue; a property of another type stops the feed before its first row,
// with the offset unchanged, until the registry accepts it (RATIONALE.md P23).
func testChangingMetadata(t *testing.T, url string) {
	client, err := sr.NewClient(sr.URLs(url))
	require.NoError(t, err)
	s := &changingService{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	broker := e2etest.StartEmbeddedBroker(t)
	p := e2etest.NewPlace(t)
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	setCompatibility := func(c sr.CompatibilityLevel) {
		t.Helper()
		for _, result := range client.SetCompatibility(t.Context(), sr.SetCompatibility{Level: c}, "moving-value") {
			require.NoError(t, result.Err)
		}
	}
	args := []string{"--plugins", e2etest.Plugins(t), "--data", p.Data,
		p.File("worker.properties", e2etest.AvroWorker(broker.Addr(), url)...),
		p.File("moving.properties", "name=moving", "connector.class=ODataSource", "sap.odata.host.protocol=http",
			"sap.odata.host.address="+host, "sap.odata.host.port="+port, "sap.odata#00.service=/s",
			"sap.odata#00.entityset=X", "sap.odata#00.topic=moving", "sap.odata#00.track-changes=1",
			"sap.odata#00.exec-period=1", "sap.odata#00.format=json", "errors.tolerance=all")}
	countRecords := func() int { return countTopic(t, broker.Addr(), "moving") }
	runOnce := append([]string{"run", "--once"}, args...)
	for step := range 4 {
		s.setStep(step)
		r := p.Run(runOnce...)
		require.Equal(t, 0, r.Code, "step", step, "exit", r.Stderr)
		require.Equal(t, step+1, countRecords(), "step", step, "records")
		if step == 0 {
			setCompatibility(sr.CompatBackward)
		}
	}
	s.setStep(4)
	r := p.Run(runOnce...)
	require.True(t, r.Code == 1 && strings.Contains(r.Stderr, "register the schema of moving-value: status 409"),
		"expected exit 1 for a property of another type, found %d\n%s", r.Code, r.Stderr)
	n := countRecords()
	assert.True(t, n == 4, "expected the feed to stop before its first row of another type, found %d records", n)
	setCompatibility(sr.CompatNone)
	p.MustRun(runOnce...)
	versions, err := client.SubjectVersions(t.Context(), "moving-value")
	require.NoError(t, err)
	assert.Len(t, len(changingSteps), versions, "versions of the schema")
	assert.Equal(t, len(changingSteps), countRecords(), "records")
}
