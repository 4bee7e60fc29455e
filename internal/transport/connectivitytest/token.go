package connectivitytest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const defaultLifetime = time.Hour

// issuer issues and recognizes tokens. Guarded by Server.mu.
type issuer struct {
	lifetime time.Duration
	down     int // the status of all responses; -1 closes connections; 0 means that the service works
	tokens   map[string]*issuedToken
}

type issuedToken struct {
	id      string
	client  string
	expires time.Time
}

// Lifetime sets the lifetime of new tokens, in whole seconds. Default one hour.
func (s *Server) Lifetime(lifetime time.Duration) { s.set(func() { s.issuer.lifetime = lifetime }) }

// ExpireTokens expires all tokens. Tunnels stay open: assumption.
func (s *Server) ExpireTokens() {
	s.set(func() {
		for _, t := range s.issuer.tokens {
			t.expires = time.Time{}
		}
	})
}

// TokenServiceDown makes the token service respond with a status only. -1 closes connections; 0 restores it.
func (s *Server) TokenServiceDown(status int) { s.set(func() { s.issuer.down = status }) }

// TokenCount returns the number of tokens issued to a client.
func (s *Server) TokenCount(c Client) int {
	return s.Count(func(e Entry) bool { return e.Port == "token" && e.ID == c.ID && e.Code == http.StatusOK })
}

// Issue returns a token without a request.
func (s *Server) Issue(c Client) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := s.issue(c)
	return token
}

// issue returns a new token and its id. s.mu is held.
func (s *Server) issue(c Client) (token, id string) {
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
	token = segment(map[string]any{"alg": "RS256", "kid": "default-jwt-key", "typ": "JWT"}) + "." +
		segment(map[string]any{
			"jti":        id,
			"client_id":  c.ID,
			"cid":        c.ID,
			"azp":        c.ID,
			"aud":        []string{"uaa", c.ID},
			"grant_type": "client_credentials",
			"iat":        now.Unix(),
			"exp":        now.Add(s.issuer.lifetime).Unix(),
			"zid":        "culvert-zone",
			"scope":      []string{"uaa.resource"},
		}) + "." + base64.RawURLEncoding.EncodeToString(signature)
	if s.issuer.tokens == nil {
		s.issuer.tokens = map[string]*issuedToken{}
	}
	s.issuer.tokens[token] = &issuedToken{id: id, client: c.ID, expires: now.Add(s.issuer.lifetime)}
	return token, id
}

// check returns a token's id, and whether it is valid for a client.
func (s *Server) check(text string, c Client) (id string, valid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.issuer.tokens[text]
	if !ok {
		return "?", false
	}
	return t.id, t.client == c.ID && time.Now().Before(t.expires)
}

// serveToken handles POST /oauth/token with client credentials: by form, basic authentication or client certificate.
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
	token, id := s.issue(client)
	lifetime := s.issuer.lifetime
	s.mu.Unlock()
	entry.Token = id
	s.addEntry(entry)
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "bearer",
		"expires_in": int(lifetime / time.Second), "scope": "uaa.resource", "jti": id})
}

// authenticate returns the client of a request.
func (s *Server) authenticate(r *http.Request) (Client, bool) {
	id, secret, isBasic := r.BasicAuth()
	if isBasic {
		// RFC 6749, 2.3.1: both are form-encoded. Assumption: XSUAA accepts both forms.
		if decoded, err := url.QueryUnescape(id); err == nil && s.client(id) == nil {
			id = decoded
		}
	} else {
		id = r.PostForm.Get("client_id")
		secret = r.PostForm.Get("client_secret")
	}
	c := s.client(id)
	if c == nil {
		return Client{ID: id}, false
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && secret == "" {
		certificate := r.TLS.PeerCertificates[0]
		roots := x509.NewCertPool()
		roots.AddCert(s.authority.certificate)
		_, err := certificate.Verify(x509.VerifyOptions{Roots: roots,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return *c, err == nil && certificate.Subject.CommonName == c.ID
	}
	if secret == c.Secret {
		return *c, true
	}
	decoded, err := url.QueryUnescape(secret)
	return *c, isBasic && err == nil && decoded == c.Secret
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
