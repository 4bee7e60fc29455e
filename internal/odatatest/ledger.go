package odatatest

import (
	"maps"
	"slices"
	"sync"
)

// Ledger is the service's record of requests and writes, for tests.
type Ledger struct {
	Requests          []Request               `json:"requests"` // the last ones, in the order of their arrival
	Batches           int                     `json:"batches"`
	Total             int                     `json:"total"`      // requests to the service, /__demo not counted
	Statuses          map[int]int             `json:"statuses"`   // answers by status
	Pages             int                     `json:"pages"`      // feeds that were answered to their end
	Deltas            int                     `json:"deltas"`     // pages of changes among them
	Jobs              int                     `json:"jobs"`       // first extractions that ODP began
	Terminated        int                     `json:"terminated"` // subscriptions of ODP that were ended
	Refused536        int                     `json:"refused536"` // requests with a token of ODP that was too old
	Rows              int64                   `json:"rows"`       // entities in feeds, expanded ones not counted
	Logons            int                     `json:"logons"`     // user and password checked and right
	FailedLogons      int                     `json:"failedLogons"`
	FailedLogonsOf    map[string]int          `json:"failedLogonsOf"` // by user
	SessionsOpened    int                     `json:"sessionsOpened"`
	SessionsOpen      int                     `json:"sessionsOpen"`
	SessionsLoggedOff int                     `json:"sessionsLoggedOff"`
	Sessions          map[string]SessionCount `json:"sessions"` // by user@server
	TokenRefusals     int                     `json:"tokenRefusals"`
	Writes            map[string]Write        `json:"writes"`         // applied writes by entity, such as Orders(10248)
	Kills             int                     `json:"kills"`          // application servers that were killed
	Unreached         int                     `json:"unreached"`      // requests that a killed server never saw
	Subscribed        int                     `json:"subscribed"`     // subscriptions that were made
	Notified          int                     `json:"notified"`       // notifications that were taken
	Undelivered       int                     `json:"undelivered"`    // notifications that were given up
	NotifyStatuses    map[int]int             `json:"notifyStatuses"` // answers of listeners by status, 0 for no answer
	Deleted           []string                `json:"gone"`           // rows that churn and differ deleted
	Born              []string                `json:"born"`           // rows that churn and differ inserted
}

// SessionCount counts the sessions of a user on an application server. Opened is the sum of all others.
type SessionCount struct {
	Opened    int `json:"opened"`
	LoggedOff int `json:"loggedOff"`
	TimedOut  int `json:"timedOut"`
	Lost      int `json:"lost"` // with their server
	Open      int `json:"open"` // now
}

// Write counts the writes that were applied to one entity.
type Write struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
	Deleted int `json:"deleted"`
}

// Request is one received request.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   string            `json:"query"`
	Status  int               `json:"status"`  // 0 while it runs or when the connection was dropped
	Headers map[string]string `json:"headers"` // see recordedHeaders
}

var recordedHeaders = []string{"Accept", "Accept-Language", "Content-Type", "Dataserviceversion",
	"Maxdataserviceversion", "Odata-Version", "Odata-Maxversion", "If-Match", "If-None-Match", "Prefer", "X-Csrf-Token", "X-Http-Method",
	"X-Requested-With", "Sap-Client", "Sap-Language", "Cookie", "Requestid", "Repeatabilitycreation", "User-Agent"}

// maxRequests bounds the list of requests; the counters have no bound.
const maxRequests = 20000

// book is a ledger that any goroutine may write.
type book struct {
	mu sync.Mutex
	l  Ledger
}

func newBook() *book {
	return &book{l: Ledger{Statuses: map[int]int{}, Writes: map[string]Write{}, FailedLogonsOf: map[string]int{},
		Sessions: map[string]SessionCount{}}}
}

// update calls change with the ledger locked. change must not call the book.
func (b *book) update(change func(l *Ledger)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.l)
}

// addRequest records a request and returns its number, for [book.setStatus].
func (b *book) addRequest(r Request) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.l.Requests) == maxRequests {
		b.l.Requests = slices.Delete(b.l.Requests, 0, maxRequests/2)
	}
	b.l.Requests = append(b.l.Requests, r)
	b.l.Total++
	return b.l.Total
}

// setStatus records the status of a request, by the number that addRequest has returned.
func (b *book) setStatus(number, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l.Statuses[status]++
	if i := len(b.l.Requests) - 1 - (b.l.Total - number); i >= 0 {
		b.l.Requests[i].Status = status
	}
}

// Ledger returns a copy of the record so far.
func (s *Service) Ledger() Ledger {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	l := s.book.l
	l.Requests = slices.Clone(l.Requests)
	l.Deleted = slices.Clone(l.Deleted)
	l.Born = slices.Clone(l.Born)
	l.Statuses = maps.Clone(l.Statuses)
	l.Writes = maps.Clone(l.Writes)
	l.NotifyStatuses = maps.Clone(l.NotifyStatuses)
	l.FailedLogonsOf = maps.Clone(l.FailedLogonsOf)
	l.Sessions = maps.Clone(l.Sessions)
	return l
}
