package e2etest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// author changes Products of the demo service, which requires CSRF tokens.
type author struct {
	t       *testing.T
	address string
	client  http.Client
	token   string
}

// NewAuthor returns an author for the demo service at an address; it requests a CSRF token.
func NewAuthor(t *testing.T, address string) *author {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	a := &author{t: t, address: address, client: http.Client{Jar: jar}}
	a.token = a.Send("GET", "", nil).Header.Get("X-CSRF-Token")
	return a
}

// Send sends a request to the service. A failure, or a status of 300 or more, is an error of the test.
func (a *author) Send(method, path string, body any) *http.Response {
	a.t.Helper()
	raw, _ := json.Marshal(body)
	q, err := http.NewRequest(method, "http://"+a.address+odatatest.SAPPath+path, bytes.NewReader(raw))
	if err != nil {
		a.t.Error(err)
		return &http.Response{}
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	q.Header.Set("X-CSRF-Token", a.token)
	if a.token == "" {
		q.Header.Set("X-CSRF-Token", "Fetch")
	}
	answer, err := a.client.Do(q)
	if err != nil {
		a.t.Errorf("%s %s: %v", method, path, err)
		return &http.Response{}
	}
	answer.Body.Close()
	assert.True(a.t, answer.StatusCode <= 299, "%s %s: %s", method, path, answer.Status)
	return answer
}

// Change creates one product, changes one and deletes one. Each n selects others.
func (a *author) Change(n int) {
	a.t.Helper()
	a.Send("POST", "Products", map[string]any{"ProductID": 1_000_000 + n, "ProductName": fmt.Sprint("New ", n),
		"Discontinued": false})
	a.Send("MERGE", fmt.Sprintf("Products(%d)", 1+2*n), map[string]any{"ProductName": fmt.Sprint("Changed ", n)})
	a.Send("DELETE", fmt.Sprintf("Products(%d)", 2+2*n), nil)
}

// AwaitEqual waits until the names in a topic of Products, folded by key, equal the names in the service. when is for
// the message of a failure.
func (c *Command) AwaitEqual(p *Place, s *odatatest.Service, topic, when string) {
	c.t.Helper()
	c.Eventually(topic+" that equals the service, "+when, func() bool {
		if r := p.Run("consume", topic, "--data", p.Data); r.Code != 0 {
			return false // nothing was written yet
		}
		want := map[string]string{}
		s.Each("Products", func(_ string, fields map[string]string) {
			want[fields["ProductID"]] = fields["ProductName"]
		})
		names := FoldByKey(p, topic)
		if len(names) != len(want) {
			return false
		}
		for key, name := range want {
			if names[key] != name {
				return false
			}
		}
		return true
	})
}

// IsSoak reports whether the long forms of tests run.
func IsSoak() bool { return os.Getenv("CULVERT_SOAK") != "" }

// LongOrShort returns long if the long forms run, else short.
func LongOrShort[T any](long, short T) T {
	if IsSoak() {
		return long
	}
	return short
}

// NotificationSource returns the settings of a connector that receives notifications of changes of Products at a port.
func NotificationSource(name, address, port string, more ...string) []string {
	return append(append(Source(name, address), "sap.odata#00.service="+odatatest.SAPPath,
		"sap.odata#00.entityset=Products", "sap.odata#00.topic="+name,
		"sap.odata#00.exec-period=-1", "sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports="+port,
		"sap.odata.subscription.address=127.0.0.1",
		"sap.odata.subscription.url=http://127.0.0.1:"+port), more...)
}

// NewPlaceForNotifications returns a place with a broker of its own, and a port for notifications.
func NewPlaceForNotifications(t *testing.T) (p *Place, worker, port string) {
	p = NewPlace(t)
	p.StartBroker()
	worker = p.File("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	_, port, _ = net.SplitHostPort(porttest.Address(t))
	return p, worker, port
}

// Edit sends random changes of products: at least so many, and until a time. Authors with different seeds create
// different products.
func (a *author) Edit(seed uint64, changes int, until time.Time) {
	a.t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	products := []int{}
	for n := 0; n < changes || time.Now().Before(until); n++ {
		if n >= changes { // connectors in full mode need time for each change
			<-time.After(200 * time.Millisecond)
		}
		switch i := r.IntN(4); {
		case i == 0 || len(products) == 0:
			id := int(seed)*1_000_000 + n
			products = append(products, id)
			a.Send("POST", "Products", map[string]any{"ProductID": id, "ProductName": fmt.Sprint("New ", id),
				"Discontinued": false})
		case i == 1:
			last := len(products) - 1
			a.Send("DELETE", fmt.Sprintf("Products(%d)", products[last]), nil)
			products = products[:last]
		case i == 2:
			a.Send("MERGE", fmt.Sprintf("Products(%d)", products[r.IntN(len(products))]),
				map[string]any{"ProductName": fmt.Sprint("Mine ", seed, " ", n)})
		default: // a product that all authors change
			a.Send("MERGE", fmt.Sprintf("Products(%d)", 1+r.IntN(70)),
				map[string]any{"ProductName": fmt.Sprint("Ours ", seed, " ", n)})
		}
	}
}
