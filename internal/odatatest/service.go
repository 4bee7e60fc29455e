// Package odatatest is an OData v2 and v4 service for demonstrations and tests: a Northwind with computed rows that
// answers like Microsoft's and SAP's services, and misbehaves like them if a switch is set. It follows the protocol and
// knows no particular client.
//
// Where to look: service.go and exchange.go receive requests; dialect.go has what differs between v2 and v4. feed.go,
// query.go, filter.go, shape.go and resource.go read, with literal.go (literal4.go). json.go, json4.go and atom.go
// write rows, metadata.go, metadata4.go and documents4.go other documents. write.go, body.go, batch.go and batchjson.go
// accept writes. delta.go, odp.go and notify.go report changes. northwind.go, edges.go, model.go, table.go and value.go
// are the data; switches.go, motion.go and fault.go the misbehaviour; session.go and dispatcher.go logons; catalogue.go
// lists services; ledger.go counts.
package odatatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The service is available under these paths, with the same data. Other paths are in New.
const (
	// NorthwindPath answers like Microsoft's services: m:type in Atom, doubles as numbers, short errors.
	NorthwindPath = "/V2/Northwind/Northwind.svc/"
	// SAPPath answers like SAP Gateway: no m:type, doubles as strings, sap: annotations, errors with innererror.
	SAPPath = "/sap/opu/odata/sap/NORTHWIND_SRV/"

	// Northwind4Path answers in v4 like Microsoft's services: types and container in two schemas, short errors.
	Northwind4Path = "/V4/Northwind/Northwind.svc/"
	// SAP4Path answers in v4 like a RAP service: annotations by target and alias, errors with innererror.
	SAP4Path = "/sap/opu/odata4/sap/northwind/srvd_a2x/sap/northwind/0001/"

	logoffPath = "/sap/public/bc/icf/logoff"
)

// Options are the data of a service and its behaviour at the start.
type Options struct {
	Rows     int    // orders; order lines are 2.5 times as many, products at least 77. Zero means 830.
	PageSize int    // overrides Switches.PageSize, unless it is zero
	User     string // "" means that no logon is required
	Password string
	// Subscriptions adds the sets of SAP Gateway's notification model: changes are pushed to subscribers.
	Subscriptions bool
	Switches
}

// Service is an OData v2 and v4 service; it is an http.Handler.
type Service struct {
	model    *northwind
	mounts   []*mount
	user     string
	password string
	book     *book
	users    *users
	front    *dispatcher
	requests atomic.Int64 // while the switch expire-every is on

	mu             sync.Mutex
	sw             Switches
	visits         map[string]int // how often a feed was requested, while differ is on
	expirations    int            // how often delta tokens expired
	expiredChanges map[string]int // by set: the number of changes below which tokens of ODP have expired
	odp            map[string]*odpSource
	churns         int   // pages served while churn is on
	newKeyCount    int64 // number of keys that were made for inserted rows

	dice *rand.Rand

	changing  sync.Mutex // one changeset at a time
	repeats   repeats
	pushQueue pushQueue
}

// New returns a service. It stores only written rows.
func New(o Options) *Service {
	if o.Rows == 0 {
		o.Rows = 830
	}
	if o.PageSize != 0 {
		o.Switches.PageSize = o.PageSize
	}
	book := newBook()
	s := &Service{model: newNorthwind(o.Rows), user: o.User, password: o.Password, book: book, sw: o.Switches,
		visits: map[string]int{}, dice: rand.New(rand.NewPCG(1, 1)),
		users: &users{failures: map[string]int{}}, front: newDispatcher(book, o.Servers)}
	s.odp = newODP(s.model)
	if o.Subscriptions {
		s.model.addSubscriptions()
	}
	s.mounts = []*mount{
		{path: NorthwindPath, dialect: v2, namespace: "NorthwindModel", container: "NorthwindEntities"},
		{path: Northwind4Path, dialect: v4, namespace: "NorthwindModel", container: "NorthwindEntities", tracks: true},
		{path: SAP4Path, dialect: v4, namespace: "com.sap.gateway.srvd_a2x.northwind.v0001", container: "Container",
			sap: true, tracks: true},
		{path: ODPPath, dialect: v2, namespace: "NORTHWIND_ODP_SRV", container: "NORTHWIND_ODP_SRV_Entities", sap: true,
			tracks: true, odp: true},
		{path: SAPPath, dialect: v2, namespace: "NORTHWIND_SRV", container: "NORTHWIND_SRV_Entities", sap: true,
			tracks: true},
		{path: StorePath, dialect: v2, namespace: "NOTIFICATIONSTORE", container: "NOTIFICATIONSTORE_Entities", sap: true,
			store: true},
		{path: CataloguePath, dialect: v2, namespace: "CATALOGSERVICE", container: "CATALOGSERVICE_Entities", sap: true,
			catalogue: (*exchange).serveCatalogue},
		{path: Catalogue4Path, dialect: v4, catalogue: (*exchange).serveCatalogue4},
	}
	return s
}

// mount is a path of the service, with the properties of the answers there.
type mount struct {
	path      string
	namespace string
	container string
	dialect   *dialect
	sap       bool
	tracks    bool // changes are tracked on request
	odp       bool // the service for operational data provisioning
	store     bool // the store of notifications
	// catalogue answers requests to the catalogue of services. Nil means that the path is no catalogue.
	catalogue func(ex *exchange, path string) *fault
}

func (m *mount) language() string {
	if m.sap {
		return "en"
	}
	return "en-US"
}

// Server is a listening service. Its goroutine ends with Close.
type Server struct {
	URL    string // such as http://127.0.0.1:40123, without a slash
	server *http.Server
	done   chan error
}

// Start listens on addr, such as 127.0.0.1:0, and serves until Close.
func (s *Service) Start(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &Server{URL: "http://" + listener.Addr().String(), server: &http.Server{Handler: s,
		ReadHeaderTimeout: 30 * time.Second}, done: make(chan error, 1)}
	go func() { l.done <- l.server.Serve(listener) }()
	return l, nil
}

// Close closes the listener and every connection.
func (s *Server) Close() error {
	err := s.server.Close()
	if serve := <-s.done; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	return err
}

// Count returns the number of entities in a set, or -1 for an unknown set.
func (s *Service) Count(set string) int {
	t := s.model.byName[set]
	if t == nil {
		return -1
	}
	return t.count()
}

// Each visits the entities of a set in key order. The key has the form of URLs, such as (10248); the fields are Atom
// text, complex ones flattened as Place/City, without null.
func (s *Service) Each(set string, visit func(key string, fields map[string]string)) {
	t := s.model.byName[set]
	if t == nil {
		return
	}
	for c := t.all(); c.next(); {
		fields := map[string]string{}
		flatten(fields, "", t.typ.properties, c.current.values)
		visit(string(appendKey(nil, t.typ, c.current)), fields)
	}
}

// flatten adds the properties of an entity or complex value to fields, as Each describes them.
func flatten(fields map[string]string, prefix string, properties []property, values []value) {
	for i := range values {
		switch v := &values[i]; {
		case v.null:
			// null properties are left out
		case v.kind == complexKind:
			flatten(fields, properties[i].name+"/", properties[i].complex.properties, v.fields)
		default:
			fields[prefix+properties[i].name] = string(appendPlain(nil, v))
		}
	}
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/__demo/") {
		s.control(w, r)
		return
	}
	sw := s.Switches()
	if r.URL.Path == logoffPath {
		s.logoff(w, r, &sw)
		return
	}
	recorded := &statusRecorder{ResponseWriter: w}
	headers := map[string]string{}
	for _, name := range recordedHeaders {
		if headerValue := r.Header.Get(name); headerValue != "" {
			headers[name] = headerValue
		}
	}
	place := s.book.addRequest(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Headers: headers})
	defer func() { s.book.setStatus(place, recorded.status) }()
	e := s.front.send(r, &sw)
	if e.server == nil {
		unavailable(recorded)
		return
	}
	if e.affinity != nil {
		http.SetCookie(recorded, e.affinity)
	}
	for _, m := range s.mounts {
		if m.catalogue != nil && sw.Catalogue <= 0 {
			continue
		}
		if resourcePath, ok := strings.CutPrefix(r.URL.EscapedPath()+"/", m.path); ok {
			x := &exchange{service: s, mount: m, w: recorded, r: r, sw: sw, server: e.server, affinity: e.affinity}
			x.serve(strings.TrimRight(resourcePath, "/"))
			return
		}
	}
	http.NotFound(recorded, r)
}

// logoff ends the session of a request. It is a public service without logon, and is not in the ledger's list of
// requests.
func (s *Service) logoff(w http.ResponseWriter, r *http.Request, sw *Switches) {
	calm := *sw
	calm.KillEvery = 0
	e := s.front.send(r, &calm)
	if e.server == nil {
		unavailable(w)
		return
	}
	e.server.sessions.logoff(r)
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	w.Write([]byte("<html><body>You have been logged off</body></html>"))
}

// statusRecorder remembers the status for the ledger.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader records and sends the status.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body, with status 200 unless another one was sent.
func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// control answers below /__demo/: ledger and switches. It requires no logon.
func (s *Service) control(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /__demo/ledger":
		writeJSON(w, s.Ledger())
	case "GET /__demo/switches":
		writeJSON(w, s.Switches())
	case "POST /__demo/switch":
		if err := s.Set(r.FormValue("name"), r.FormValue("value")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Bytes())
}
