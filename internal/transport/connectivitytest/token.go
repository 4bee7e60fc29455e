package connectivitytest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const defaultLifetime = time.Hour

// issuer makes tokens and knows those that it made. It is under the server's lock.
type issuer struct {
	lifetime time.Duration
	down     int // the status that everything gets, or 0
	known    map[string]*issued
}

type issued struct {
	id, client string
	expires    time.Time
}

// Lifetime is how long tokens are valid that are made from now on, in whole seconds. Default one hour.
func (s *Server) Lifetime(lifetime time.Duration) { s.set(func() { s.issuer.lifetime = lifetime }) }

// ExpireTokens lets all tokens that were made be refused from now on. Tunnels stay: no page says that they end.
func (s *Server) ExpireTokens() {
	s.set(func() {
		for _, t := range s.issuer.known {
			t.expires = time.Time{}
		}
	})
}

// TokenServiceDown lets the token service answer everything with this status; 0 ends it. -1 lets it close connections
// without an answer.
func (s *Server) TokenServiceDown(status int) { s.set(func() { s.issuer.down = status }) }

// TokenCount is how many tokens the service has made for a client.
func (s *Server) TokenCount(c Client) int {
	return s.Count(func(e Entry) bool { return e.Port == "token" && e.ID == c.ID && e.Code == http.StatusOK })
}

// Issue makes a token for a client without asking the service.
func (s *Server) Issue(c Client) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := s.issue(c)
	return token
}

func (s *Server) issue(c Client) (text, id string) {
	now := time.Now()
	id = strings.ToLower(rand.Text())
	segment := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("connectivitytest: " + err.Error())
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signature := make([]byte, 256)
	rand.Read(signature)
	text = segment(map[string]any{"alg": "RS256", "kid": "default-jwt-key", "typ": "JWT"}) + "." +
		segment(map[string]any{
			"jti": id, "client_id": c.ID, "cid": c.ID, "azp": c.ID, "aud": []string{"uaa",
				c.ID}, "grant_type": "client_credentials",
			"iat": now.Unix(), "exp": now.Add(s.issuer.lifetime).Unix(), "zid": "culvert-zone",
			"scope": []string{"uaa.resource"},
		}) + "." + base64.RawURLEncoding.EncodeToString(signature)
	if s.issuer.known == nil {
		s.issuer.known = map[string]*issued{}
	}
	s.issuer.known[text] = &issued{id, c.ID, now.Add(s.issuer.lifetime)}
	return text, id
}

// check says whose token it is, and whether it is good for a client.
func (s *Server) check(text string, c Client) (id string, valid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.issuer.known[text]
	if !ok {
		return "?", false
	}
	return t.id, t.client == c.ID && time.Now().Before(t.expires)
}

// serveToken is POST /oauth/token for client credentials: by form, by basic authentication or by client certificate.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	entry := Entry{Port: "token", Client: r.RemoteAddr, Target: r.URL.Path, Header: headerNames(r), Code: http.StatusOK}
	s.mu.Lock()
	down := s.issuer.down
	s.mu.Unlock()
	if down != 0 {
		entry.Code = max(down, 0)
		s.addEntry(entry)
		if down < 0 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, http.StatusText(down), down)
		return
	}
	fail := func(status int, code, description string) {
		entry.Code = status
		s.addEntry(entry)
		writeJSON(w, status, map[string]string{"error": code, "error_description": description})
	}
	if r.Method != http.MethodPost {
		fail(http.StatusMethodNotAllowed, "method_not_allowed", "Request method '"+r.Method+"' is not supported")
		return
	}
	if err := r.ParseForm(); err != nil {
		fail(http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		fail(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant type: "+grant)
		return
	}
	client, ok := s.authenticate(r)
	entry.ID = client.ID
	if !ok {
		fail(http.StatusUnauthorized, "unauthorized", "Bad credentials")
		return
	}
	s.mu.Lock()
	text, id := s.issue(client)
	lifetime := s.issuer.lifetime
	s.mu.Unlock()
	entry.Token = id
	s.addEntry(entry)
	writeJSON(w, http.StatusOK, map[string]any{"access_token": text, "token_type": "bearer",
		"expires_in": int(lifetime / time.Second),
		"scope":      "uaa.resource", "jti": id})
}

// authenticate finds the client that asks.
func (s *Server) authenticate(r *http.Request) (Client, bool) {
	id, secret, basic := r.BasicAuth()
	if basic {
		// RFC 6749, 2.3.1: both are form-encoded first; XSUAA takes them either way, assumption
		if text, err := url.QueryUnescape(id); err == nil && s.client(id) == nil {
			id = text
		}
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c := s.client(id)
	if c == nil {
		return Client{ID: id}, false
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && secret == "" {
		return *c, s.authority.issued(r.TLS.PeerCertificates[0], c.ID)
	}
	if secret == c.Secret {
		return *c, true
	}
	text, err := url.QueryUnescape(secret)
	return *c, basic && err == nil && text == c.Secret
}

func (s *Server) client(id string) *Client {
	for _, c := range []*Client{&s.Connectivity, &s.API, &s.Destination, &s.XSUAA} {
		if id != "" && c.ID == id {
			return c
		}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
