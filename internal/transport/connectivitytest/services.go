package connectivitytest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Paths of the services.
const (
	TokenPath       = "/oauth/token"
	destinationPath = "/destination-configuration/v1/destinations/"
	infoPath        = "/api/v1/cloudConnectors" // assumption: bindings contain it, so any path will do
)

func (s *Server) services() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(TokenPath, s.serveToken)
	mux.HandleFunc("GET "+destinationPath+"{name}", s.serveDestination)
	mux.HandleFunc("GET "+infoPath, s.serveInfo)
	return mux
}

// SetDestination sets the JSON response for a destination. Empty removes it.
func (s *Server) SetDestination(name, answer string) {
	s.set(func() {
		if answer == "" {
			delete(s.destinations, name)
		} else {
			s.destinations[name] = answer
		}
	})
}

// checkBearer records the request and checks its token. If the token is invalid, it sends the response and returns !ok.
func (s *Server) checkBearer(w http.ResponseWriter, r *http.Request, port string,
	c Client) (setStatus func(int), ok bool) {
	entry := Entry{Port: port, Client: r.RemoteAddr, Target: r.URL.Path, Header: headerNames(r), ID: c.ID}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if isBearer {
		entry.Token, ok = s.check(token, c)
	}
	update := s.addEntry(entry)
	setStatus = func(status int) { update(func(e *Entry) { e.Code = status }) }
	if !ok {
		setStatus(http.StatusUnauthorized)
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}
	return setStatus, ok
}

func (s *Server) serveDestination(w http.ResponseWriter, r *http.Request) {
	setStatus, ok := s.checkBearer(w, r, "destination", s.Destination)
	if !ok {
		return
	}
	s.mu.Lock()
	answer, ok := s.destinations[r.PathValue("name")]
	s.mu.Unlock()
	if !ok {
		setStatus(http.StatusNotFound)
		writeJSON(w, http.StatusNotFound,
			map[string]string{"ErrorMessage": "Configuration with the specified name was not found"})
		return
	}
	setStatus(http.StatusOK)
	w.Header().Set("Content-Type", "application/json")
	w.Write([]byte(answer))
}

// serveInfo lists the connected Cloud Connectors. As in SAP's sample, all attributes are strings, and exposed_systems
// is JSON in a string.
func (s *Server) serveInfo(w http.ResponseWriter, r *http.Request) {
	setStatus, ok := s.checkBearer(w, r, "info", s.API)
	if !ok {
		return
	}
	s.mu.Lock()
	defer setStatus(http.StatusOK)
	defer s.mu.Unlock()
	type attributes map[string]string
	list := []map[string]attributes{}
	for location := range s.locations {
		systems, _ := json.Marshal(s.exposed(location))
		a := attributes{"connected_by": "admin@example.com",
			"connected_since": strconv.FormatInt(time.Now().UnixMilli(), 10), "agent_version": "2.18.0",
			"agent_type": "master", "client_id": "123456789", "exposed_systems": string(systems)}
		if location != "" {
			a["location_id"] = location // assumption: the sample has a Cloud Connector without one
		}
		list = append(list, map[string]attributes{"attributes": a})
	}
	slices.SortFunc(list, func(a, b map[string]attributes) int {
		return cmp.Compare(a["attributes"]["location_id"], b["attributes"]["location_id"])
	})
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) exposed(location string) []map[string]string {
	systems := []map[string]string{}
	for key, real := range s.virtualHosts {
		exposedTo, virtual, _ := strings.Cut(key, "\x00")
		if exposedTo != "*" && exposedTo != location {
			continue
		}
		protocol := "TCP"
		if strings.HasPrefix(real, "https://") {
			protocol = "HTTP"
		}
		systems = append(systems, map[string]string{"protocol": protocol, "host": virtual, "description": "",
			"type": "nonSAPsys", "status": "exposed"})
	}
	slices.SortFunc(systems, func(a, b map[string]string) int { return cmp.Compare(a["host"], b["host"]) })
	return systems
}
