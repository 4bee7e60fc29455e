package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

const (
	// stayOf is how many connectors of one task read page after page, of which none comes faster than stayPage.
	stayOf, stayPage = 8, 50 * time.Millisecond
	// stayLooks is how long they are looked at, at rest, and at least while a worker joins or leaves.
	stayLooks = 5 * time.Second
)

// readers note how long the tasks that read through them wait between two pages at most. A task is known by its user.
type readers struct {
	proxy *httputil.ReverseProxy

	mu      sync.Mutex
	asked   map[string]time.Time // the last page
	longest map[string]time.Duration
}

func (r *readers) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	user, _, _ := q.BasicAuth()
	q.SetBasicAuth("demo", "secret")
	r.mu.Lock()
	r.asks(user)
	r.mu.Unlock()
	select {
	case <-time.After(stayPage):
		r.proxy.ServeHTTP(w, q)
	case <-q.Context().Done():
	}
}

// asks notes a request of a user; r.mu is held.
func (r *readers) asks(user string) {
	now := time.Now()
	r.longest[user] = max(r.longest[user], now.Sub(r.asked[user]))
	r.asked[user] = now
}

// begin forgets what was longest.
func (r *readers) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.longest)
}

// most is how long one of the users has waited since then, in ms.
func (r *readers) most(users []string) (ms float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, user := range users {
		longest := max(r.longest[user], time.Since(r.asked[user]))
		ms = max(ms, longest.Seconds()*1000)
	}
	return ms
}

// stays has a third worker join two, and leave them, while tasks read: how long do those wait that stay where they are?
func (b *bench) stays(ctx context.Context, broker string) error {
	service, err := b.demo(ctx, "--rows", "400000", "--page-size", "50")
	if err != nil {
		return err
	}
	defer service.stop()
	r := &readers{asked: map[string]time.Time{}, longest: map[string]time.Duration{},
		proxy: &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: service.address})
			p.Out.Host = p.In.Host // links lead through here
		}}}
	front := httptest.NewServer(r)
	defer front.Close()
	c := b.ourCrew(broker, service)
	c.settings = func(n int) map[string]string {
		settings := settingsOf(n, service, "1")
		at, _ := url.Parse(front.URL)
		settings["sap.odata.host.port"], settings["sap.odata.user.name"] = at.Port(), nameOf(n)
		settings["sap.odata#00.entityset"], settings["sap.odata.max.concurrent.requests"] = "Order_Details", "16"
		return settings
	}
	defer c.end()
	if _, err := c.pair(ctx, "stays"); err != nil {
		return err
	}
	for n := range stayOf {
		if err := c.post(ctx, n); err != nil {
			return err
		}
	}
	if err := c.spread(ctx, stayOf, 0, 1); err != nil {
		return err
	}
	changes := []struct {
		name   string
		change func() error
		over   []int
	}{{"a third worker joins", func() error { return c.join(ctx, "stays", 2) }, []int{0, 1, 2}},
		{"it leaves", func() error { c.members[2].leave(); return nil }, []int{0, 1}}}
	var found [2][2][]float64 // by change: at rest, and with it
	for range b.rounds {
		for i, change := range changes {
			rest, moves, err := c.stayed(ctx, r, change.change, change.over)
			if err != nil {
				return err
			}
			found[i][0], found[i][1] = append(found[i][0], rest), append(found[i][1], moves)
		}
	}
	fmt.Printf("%d tasks of a group read page after page, each of which takes %v at least: the longest time between "+
		"two requests\nof those tasks that stay where they are, in ms; medians of %d rounds (aim: no longer than at "+
		"rest).\n",
		stayOf, stayPage, b.rounds)
	fmt.Println("                            at rest   meanwhile   rounds at rest; meanwhile")
	for i, change := range changes {
		fmt.Printf("  %-24s %8.0f %11.0f   %.0f; %.0f\n", change.name, median(found[i][0]), median(found[i][1]),
			found[i][0], found[i][1])
	}
	return nil
}

// stayed looks at the tasks that stay where they are while something changes, and at the same ones before.
func (c *crew) stayed(ctx context.Context, r *readers, change func() error, over []int) (rest, moves float64,
	err error) {
	before, err := c.owners(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := c.bench.rest(ctx, stayLooks); err != nil { // what has moved is at work
		return 0, 0, err
	}
	r.begin()
	if err := c.bench.rest(ctx, stayLooks); err != nil {
		return 0, 0, err
	}
	atRest := map[string]float64{}
	for name := range before {
		atRest[name] = r.most([]string{name})
	}
	r.begin()
	began := time.Now()
	if err := change(); err != nil {
		return 0, 0, err
	}
	if err := c.spread(ctx, stayOf, over...); err != nil {
		return 0, 0, err
	}
	if err := c.bench.rest(ctx, stayLooks-time.Since(began)); err != nil {
		return 0, 0, err
	}
	after, err := c.owners(ctx)
	if err != nil {
		return 0, 0, err
	}
	var stay []string
	for name, owner := range before {
		if after[name] == owner {
			stay = append(stay, name)
			rest = max(rest, atRest[name])
		}
	}
	if len(stay) == 0 {
		return 0, 0, fmt.Errorf("expected tasks that stay, found %v and %v", before, after)
	}
	return rest, r.most(stay), nil
}

// owners are the workers of the first task of each connector.
func (c *crew) owners(ctx context.Context) (owners map[string]string, err error) {
	var all map[string]connectorPlaced
	if err := c.members[0].call(ctx, "GET", "/connectors?expand=status", nil, &all); err != nil {
		return nil, err
	}
	owners = map[string]string{}
	for name, one := range all {
		for _, task := range one.Status.Tasks {
			owners[name] = task.WorkerID
		}
	}
	return owners, nil
}
