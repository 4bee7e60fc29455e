// Tickets-api is a JSON API to try examples/plugin-source with: tickets with a nested customer, cursor paging, and an
// ETag for each page. The tickets are always the same. With -key it requires a key in the header X-Api-Key or in the
// parameter api_key.
//
// GET /api/tickets?limit=100&after=CURSOR returns {"items":[{"id":1,"title":"…","customer":{"name":"…","city":null},
// "tags":["…"],"updated":"2026-01-01T00:00:00Z"}],"cursor":"…","more":true}
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"log"
	"net/http"
	"strconv"
	"time"
)

type ticket struct {
	ID       int       `json:"id"`
	Title    string    `json:"title"`
	Customer customer  `json:"customer"`
	Tags     []string  `json:"tags"`
	Updated  time.Time `json:"updated"`
}

type customer struct {
	Name string  `json:"name"`
	City *string `json:"city"`
}

// maxLimit is the maximum number of tickets of a page.
const maxLimit = 1000

type page struct {
	Items  []ticket `json:"items"`
	Cursor string   `json:"cursor"`
	More   bool     `json:"more"`
}

// api is the handler of the server.
type api struct {
	tickets []ticket // numbered from 1
	// key is the required key. Empty means that no key is required.
	key string
}

func (a *api) isAuthorized(r *http.Request) bool {
	return a.key == "" || r.Header.Get("X-Api-Key") == a.key || r.URL.Query().Get("api_key") == a.key
}

// newAPI creates count tickets, with the same content in each call.
func newAPI(count int, key string) *api {
	a := &api{key: key, tickets: make([]ticket, 0, count)}
	cities := []string{"Walldorf", "København", "São Paulo"}
	for i := range count {
		t := ticket{
			ID: i + 1, Title: fmt.Sprintf("Ticket %d", i+1),
			Customer: customer{Name: fmt.Sprintf("Customer %d", i%7)},
			Tags:     []string{"new", "sap"}[:i%3],
			Updated:  time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC),
		}
		if i%4 != 0 {
			t.Customer.City = &cities[i%3]
		}
		a.tickets = append(a.tickets, t)
	}
	return a
}

// ServeHTTP answers GET /api/tickets. A cursor is the last ID of a page.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/tickets" || r.Method != http.MethodGet {
		http.Error(w, `{"error":"no such resource"}`, http.StatusNotFound)
		return
	}
	if !a.isAuthorized(r) {
		http.Error(w, `{"error":"who are you?"}`, http.StatusUnauthorized)
		return
	}
	after, err := parameter(r, "after", 0, 0)
	if err != nil {
		http.Error(w, `{"error":"`+err.Error()+`"}`, http.StatusBadRequest)
		return
	}
	limit, err := parameter(r, "limit", 1, 100)
	if err != nil {
		http.Error(w, `{"error":"`+err.Error()+`"}`, http.StatusBadRequest)
		return
	}
	start := min(after, len(a.tickets))
	end := min(start+min(limit, maxLimit), len(a.tickets))
	body, err := json.Marshal(page{Items: a.tickets[start:end], Cursor: strconv.Itoa(end), More: end < len(a.tickets)})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := fnv.New64a()
	sum.Write(body)
	etag := fmt.Sprintf(`"%x"`, sum.Sum64())
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// parameter returns a number of the query, or fallback if it is missing.
func parameter(r *http.Request, name string, minimum, fallback int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < minimum || n > 1<<30 {
		return 0, fmt.Errorf("%s: expected a number of at least %d", name, minimum)
	}
	return n, nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8091", "address to listen on")
	count := flag.Int("count", 250, "number of tickets")
	key := flag.String("key", "", "required key, in the header X-Api-Key or the parameter api_key; empty means none")
	flag.Parse()
	server := &http.Server{Addr: *listen, Handler: newAPI(*count, *key), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
