package connectivitytest_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

func body(t *testing.T, r *http.Response, err error) (int, string) {
	t.Helper()
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

func form(c connectivitytest.Client) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret}}
}

func TestTokens(t *testing.T) {
	s := start(t)
	post := func(change func(*http.Request, url.Values)) (int, string) {
		t.Helper()
		values := form(s.Connectivity)
		r, _ := http.NewRequest("POST", s.URL+"/oauth/token", nil)
		change(r, values)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = io.NopCloser(strings.NewReader(values.Encode()))
		response, err := http.DefaultClient.Do(r)
		return body(t, response, err)
	}
	for _, c := range []struct {
		name   string
		status int
		change func(*http.Request, url.Values)
	}{
		{"form", 200, func(*http.Request, url.Values) {}},
		{"basic", 200, func(r *http.Request, v url.Values) {
			r.SetBasicAuth(s.Connectivity.ID, s.Connectivity.Secret)
			v.Del("client_id")
			v.Del("client_secret")
		}},
		{"basic, encoded first", 200, func(r *http.Request, v url.Values) {
			r.SetBasicAuth(url.QueryEscape(s.Connectivity.ID), url.QueryEscape(s.Connectivity.Secret))
			v.Del("client_id")
			v.Del("client_secret")
		}},
		{"wrong secret", 401, func(r *http.Request, v url.Values) { v.Set("client_secret", "no") }},
		{"no secret", 401, func(r *http.Request, v url.Values) { v.Del("client_secret") }},
		{"unknown client", 401, func(r *http.Request, v url.Values) { v.Set("client_id", "no") }},
		{"another grant", 400, func(r *http.Request, v url.Values) { v.Set("grant_type", "password") }},
		{"GET", 405, func(r *http.Request, v url.Values) { r.Method = "GET" }},
	} {
		if status, text := post(c.change); status != c.status {
			t.Errorf("%s: expected %d, found %d %s", c.name, c.status, status, text)
		} else if status == 200 {
			var answer struct {
				AccessToken string `json:"access_token"`
				TokenType   string `json:"token_type"`
				ExpiresIn   int    `json:"expires_in"`
			}
			if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.TokenType != "bearer" ||
				answer.ExpiresIn != 3600 || strings.Count(answer.AccessToken, ".") != 2 {
				t.Errorf("%s: %v, %s", c.name, err, text)
			}
		}
	}
	assert.Equal(t, 3, s.TokenCount(s.Connectivity), "tokens")
	s.TokenServiceDown(503)
	if status, _ := post(func(*http.Request, url.Values) {}); status != 503 {
		t.Errorf("expected 503, found %d", status)
	}
	s.TokenServiceDown(-1)
	if _, err := http.PostForm(s.URL+"/oauth/token", form(s.Connectivity)); err == nil {
		t.Error("expected no answer")
	}
	s.TokenServiceDown(0)

	// by certificate
	values := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.Connectivity.ID}}
	for id, want := range map[string]int{s.Connectivity.ID: 200, s.XSUAA.ID: 401, "": 401} {
		config := &tls.Config{RootCAs: s.Roots()}
		if id != "" {
			certificate, key := s.Certificate(connectivitytest.Client{ID: id})
			pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
			require.NoError(t, err)
			config.Certificates = []tls.Certificate{pair}
		}
		transport := &http.Transport{TLSClientConfig: config}
		response, err := (&http.Client{Transport: transport}).PostForm(s.TLSURL+"/oauth/token", values)
		if status, text := body(t, response, err); status != want {
			t.Errorf("certificate of %q: expected %d, found %d %s", id, want, status, text)
		}
		transport.CloseIdleConnections()
	}
}

// raw sends a request's bytes to the HTTP port.
func raw(t *testing.T, s *connectivitytest.Server, request string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.HTTP)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	return body(t, response, err)
}

func TestHTTPPort(t *testing.T) {
	s := start(t)
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host=%s", r.Method, r.URL, r.Host)
		for name := range r.Header {
			if n := strings.ToLower(name); strings.HasPrefix(n, "proxy") || strings.HasPrefix(n, "sap-connectivity") ||
				n == "x-hop" {
				fmt.Fprintf(w, " found %s", name)
			}
		}
	}))
	defer system.Close()
	secure := httptest.NewTLSServer(system.Config.Handler)
	defer secure.Close()
	s.Attach("EU")
	s.MapAt("EU", "erp.virtual:80", strings.TrimPrefix(system.URL, "http://"))
	s.MapAt("EU", "erp.virtual:44300", secure.URL)
	s.MapAt("EU", "dead.virtual:80", "127.0.0.1:1")
	token := s.Issue(s.Connectivity)
	const at = "SAP-Connectivity-SCC-Location_ID: EU\r\n"
	auth := "Proxy-Authorization: Bearer " + token + "\r\n"
	for _, c := range []struct {
		name, line, headers string
		status              int
		text                string
	}{
		{"good", "GET http://erp.virtual/sap/opu?x=1 HTTP/1.1\r\nHost: erp.virtual", auth + at +
			"Connection: x-hop\r\nX-Hop: 1\r\n", 200, "GET /sap/opu?x=1 host=erp.virtual"},
		{"TLS behind", "GET http://erp.virtual:44300/ HTTP/1.1\r\nHost: erp.virtual:44300", auth + at, 200,
			"GET / host=erp.virtual:44300"},
		{"https", "GET https://erp.virtual:44300/ HTTP/1.1\r\nHost: erp.virtual:44300", auth + at, 405, ""},
		{"CONNECT", "CONNECT erp.virtual:80 HTTP/1.1\r\nHost: erp.virtual:80", auth + at, 405, ""},
		{"not absolute", "GET /sap/opu HTTP/1.1\r\nHost: erp.virtual", auth + at, 400, ""},
		{"no token", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", at, 407, ""},
		{"wrong token", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", at +
			"Proxy-Authorization: Bearer eyJ\r\n", 407, ""},
		{"Basic", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", at + "Proxy-Authorization: Basic " + token +
			"\r\n", 407, ""},
		{"no Cloud Connector", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", auth +
			"SAP-Connectivity-SCC-Location_ID: US\r\n", 503, ""},
		{"location in base64", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", auth +
			"SAP-Connectivity-SCC-Location_ID: RVU=\r\n", 503, ""},
		{"not exposed", "GET http://other.virtual/ HTTP/1.1\r\nHost: other.virtual", auth + at, 403, ""},
		{"nobody there", "GET http://dead.virtual/ HTTP/1.1\r\nHost: dead.virtual", auth + at, 502, ""},
		{"line of 8192 bytes", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", auth + at + "X-Long: " +
			strings.Repeat("x", 8192-8) + "\r\n", 200, ""},
		{"line of 8193 bytes", "GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual", auth + at + "X-Long: " +
			strings.Repeat("x", 8193-8) + "\r\n", 431, ""},
	} {
		status, text := raw(t, s, c.line+"\r\n"+c.headers+"Connection: close\r\n\r\n")
		if status != c.status || c.status == 200 && !strings.HasPrefix(text, c.text) || strings.Contains(text,
			"found ") {
			t.Errorf("%s: found %d %s", c.name, status, text)
		}
	}
	s.ExpireTokens()
	if status, _ := raw(t, s,
		"GET http://erp.virtual/ HTTP/1.1\r\nHost: erp.virtual\r\n"+auth+at+"\r\n"); status != 407 {
		t.Errorf("expired token: found %d", status)
	}
}

func TestDestinationsAndInfo(t *testing.T) {
	s := start(t)
	s.SetDestination("ERP", `{"destinationConfiguration":{"Name":"ERP"}}`)
	s.Attach("EU")
	s.MapAt("EU", "kafka-0:9092", "127.0.0.1:1")
	get := func(path, token string) (int, string) {
		t.Helper()
		r, _ := http.NewRequest("GET", s.URL+path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(r)
		return body(t, response, err)
	}
	const path = "/destination-configuration/v1/destinations/"
	good := s.Issue(s.Destination)
	for _, c := range []struct {
		path, token string
		status      int
	}{{path + "ERP", good, 200}, {path + "NO", good, 404}, {path + "ERP", "", 401}, {path + "ERP",
		s.Issue(s.Connectivity), 401}} {
		if status, text := get(c.path, c.token); status != c.status {
			t.Errorf("%s: expected %d, found %d %s", c.path, c.status, status, text)
		}
	}
	var bound map[string][]struct {
		Plan        string
		Credentials struct {
			Service struct {
				URL  string `json:"url"`
				Path string `json:"scc_info_path"`
			} `json:"connectivity_service"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(s.VCAP(0)), &bound))
	api := bound["connectivity"][1]
	if api.Plan != "api_access" || api.Credentials.Service.URL != s.URL {
		t.Fatalf("found %+v", api)
	}
	status, text := get(api.Credentials.Service.Path, s.Issue(s.API))
	var list []struct{ Attributes map[string]string }
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != 200 || len(list) != 2 ||
		list[1].Attributes["location_id"] != "EU" ||
		!strings.Contains(list[1].Attributes["exposed_systems"], `"host":"kafka-0:9092"`) {
		t.Fatalf("%v, %d %s", err, status, text)
	}
	if status, _ := get(api.Credentials.Service.Path, s.Issue(s.Connectivity)); status != 401 {
		t.Errorf("the list with a token of plan lite: found %d", status)
	}
}
