package btp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
)

// destinationService is a service that responds with answers to requests with a valid token.
type destinationService struct {
	*httptest.Server
	tokens *tokenService
	clock  *clock

	mu       sync.Mutex
	answers  map[string]string // bodies by path
	status   int               // of all responses; zero means that answers apply
	token    string            // the valid token
	requests []string          // method and path of each request
}

func newDestinationService(t *testing.T) *destinationService {
	s := &destinationService{tokens: newTokenService(t), clock: newClock(), answers: map[string]string{},
		token: "token-1"}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *destinationService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.EscapedPath())
	switch answer, ok := s.answers[r.URL.Path]; {
	case s.status != 0:
		w.WriteHeader(s.status)
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "refused: %s", r.Header.Get("Authorization"))
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"ErrorMessage":"Configuration with the specified name was not found"}`)
	default:
		_, _ = io.WriteString(w, answer)
	}
}

// put sets the response for a destination: its properties, and further members.
func (s *destinationService) put(name, properties string, more ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers["/destination-configuration/v1/destinations/"+
		name] = `{"owner":{"SubaccountId":"sub-1","InstanceId":null},"destinationConfiguration":{"Name":"` +
		name + `",` + properties + `}` + strings.Join(append([]string{""}, more...), ",") + `}`
}

// fail sets the status of all responses; zero means that the service works.
func (s *destinationService) fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *destinationService) requestCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func (s *destinationService) open(t *testing.T) *btp.Destinations {
	t.Helper()
	d, err := btp.NewDestinations(btp.DestinationService{Credentials: credentials(s.tokens.URL), URI: s.URL + "/",
		Instance: "my-destinations", Subaccount: "sub-1"},
		btp.TokenOptions{Clock: s.clock.Now, Logger: newLogger(t), RetryPeriod: time.Millisecond})
	require.NoError(t, err)
	return d
}

func bearer(value, lifetime string) string {
	return `"authTokens":[{"type":"Bearer","value":"` + value +
		`","http_header":{"key":"Authorization","value":"Bearer ` + value + `"},"expires_in":"` + lifetime + `"}]`
}

// A destinationCase is the properties of a destination, and more of the service's response.
type destinationCase struct {
	name       string
	properties string
	more       []string
	want       btp.Destination
}

// destinationAddress are the properties that each destination has.
const destinationAddress = `"Type":"HTTP","URL":"https://s4.example.com"`

// destinationWith returns the destination of [destinationAddress], changed.
func destinationWith(change func(*btp.Destination)) btp.Destination {
	d := btp.Destination{
		Name: "S4",
		Type: "HTTP",
		Endpoint: btp.Endpoint{URL: "https://s4.example.com", Scheme: "https", Host: "s4.example.com",
			Port: 443, Query: url.Values{}, Headers: http.Header{}},
		Authentication: "NoAuthentication",
		ProxyType:      "Internet",
	}
	change(&d)
	return d
}

func TestFindDestination(t *testing.T) {
	checkDestinations(t, newDestinationService(t), []destinationCase{
		{"least", destinationAddress, nil, destinationWith(func(*btp.Destination) {})},
		{"basic",
			destinationAddress + `,"ProxyType":"Internet","Authentication":"BasicAuthentication","User":" me",` +
				`"Password":" p w "`,
			[]string{`"authTokens":[{"type":"Basic","value":"bWU6","http_header":{"key":"Authorization",` +
				`"value":"Basic bWU6"}}]`},
			destinationWith(func(t *btp.Destination) {
				t.Authentication = "BasicAuthentication"
				t.User = "me"
				t.Password = " p w "
			})},
		{"on premise", `"Type":"HTTP","URL":"http://virtual:8000/sap/?a=1&b=2","ProxyType":"OnPremise",` +
			`"CloudConnectorLocationId":"DE-Berlin",` +
			`"sap-client":"100","sap-language":"DE","URL.headers.apikey":"k","URL.queries.b":"3",` +
			`"URL.queries.c":"4 5","HTML5.DynamicDestination":"true","WebIDEUsage":"odata"`, nil,
			btp.Destination{
				Name: "S4",
				Type: "HTTP",
				Endpoint: btp.Endpoint{URL: "http://virtual:8000/sap/", Scheme: "http", Host: "virtual", Port: 8000,
					Path: "/sap", Query: url.Values{"a": {"1"}, "b": {"3"},
						"c": {"4 5"}}, Headers: http.Header{"Apikey": {"k"}}},
				Client:         "100",
				Language:       "DE",
				Authentication: "NoAuthentication",
				ProxyType:      "OnPremise",
				LocationID:     "DE-Berlin",
			}},
		{"no scheme", `"Type":"HTTP","URL":"virtual:8000"`, nil, destinationWith(func(t *btp.Destination) {
			t.URL = "http://virtual:8000"
			t.Scheme = "http"
			t.Host = "virtual"
			t.Port = 8000
		})},
		{"TCP", `"Type":"TCP","Address":"tcp://kafka-broker-0:9093","ProxyType":"OnPremise"`, nil,
			destinationWith(func(t *btp.Destination) {
				t.Type = "TCP"
				t.URL = "tcp://kafka-broker-0:9093"
				t.Scheme = "tcp"
				t.Host = "kafka-broker-0"
				t.Port = 9093
				t.ProxyType = "OnPremise"
			})},
		{"trusts all", destinationAddress + `,"TrustAll":"TRUE","TrustStoreLocation":"gone.pem"`, nil,
			destinationWith(func(t *btp.Destination) { t.TrustAll = true })},
		{"private link", destinationAddress + `,"ProxyType":"PrivateLink"`, nil,
			destinationWith(func(t *btp.Destination) { t.ProxyType = "PrivateLink" })},
	})
}

// A destination has the tokens, certificates and stores that the service delivers with it.
func TestDestinationHasDeliveredCredentials(t *testing.T) {
	s := newDestinationService(t)
	issued := s.clock.Now()
	checkDestinations(t, s, []destinationCase{
		{"client credentials", destinationAddress +
			`,"Authentication":"OAuth2ClientCredentials","tokenServiceURL":"https://x","clientId":"c",` +
			`"clientSecret":"` + secret + `"`,
			[]string{bearer("opaque", "3599")}, destinationWith(func(t *btp.Destination) {
				t.Authentication = "OAuth2ClientCredentials"
				t.Token = &btp.DeliveredToken{Header: "Authorization", Value: "Bearer opaque",
					Expires: issued.Add(3599 * time.Second)}
			})},
		{"SAML bearer, no header ready, no expiry", destinationAddress +
			`,"Authentication":"OAuth2SAMLBearerAssertion","SystemUser":"TECH"`,
			[]string{`"authTokens":[{"type":"bearer","value":"opaque"}]`}, destinationWith(func(t *btp.Destination) {
				t.Authentication = "OAuth2SAMLBearerAssertion"
				t.Token = &btp.DeliveredToken{Header: "Authorization", Value: "Bearer opaque"}
			})},
		{"client certificate", destinationAddress +
			`,"Authentication":"ClientCertificateAuthentication","KeyStoreLocation":"me.p12","KeyStorePassword":"kp"`,
			[]string{`"certificates":[{"Name":"ca.pem","Content":"eA==","Type":"CERTIFICATE"},{"Name":"me.p12",` +
				`"Content":"AQ\nID","Type":"CERTIFICATE"}]`},
			destinationWith(func(t *btp.Destination) {
				t.Authentication = "ClientCertificateAuthentication"
				t.Keystore = &btp.Store{Name: "me.p12", Type: "PKCS12", Content: []byte{1, 2, 3}, Password: "kp"}
			})},
		{"the only certificate", destinationAddress +
			`,"Authentication":"ClientCertificateAuthentication","KeyStorePassword":"kp"`,
			[]string{`"certificates":[{"Name":"me.JKS","Content":"AQID"}]`}, destinationWith(func(t *btp.Destination) {
				t.Authentication = "ClientCertificateAuthentication"
				t.Keystore = &btp.Store{Name: "me.JKS", Type: "JKS", Content: []byte{1, 2, 3}, Password: "kp"}
			})},
		{"own roots", destinationAddress + `,"TrustStoreLocation":"ca.crt","TrustStorePassword":"tp"`,
			[]string{`"certificates":[{"Name":"ca.crt","Content":"AQID"}]`},
			destinationWith(func(t *btp.Destination) {
				t.Truststore = &btp.Store{Name: "ca.crt", Content: []byte{1, 2, 3}, Password: "tp"}
			})},
	})
}

func checkDestinations(t *testing.T, s *destinationService, cases []destinationCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.put("S4", c.properties, c.more...)
			got, err := s.open(t).Find(t.Context(), "S4")
			require.NoError(t, err)
			assert.True(t, got.Digest != c.want.Digest, "expected a digest")
			got.Digest = c.want.Digest
			assert.Equal(t, c.want, got)
			s.tokens.mu.Lock()
			s.tokens.issued = 0
			s.tokens.mu.Unlock()
		})
	}
}

func TestInvalidDestinations(t *testing.T) {
	const address = `"Type":"HTTP","URL":"https://s4.example.com",`
	for _, c := range []struct {
		properties string
		more       string
		kind       btp.Kind
		setting    string
		part       string
	}{
		{`"Type":"RFC"`, "", btp.Misconfigured, "Type", `expected HTTP or TCP, found "RFC"`},
		{`"Type":"HTTP"`, "", btp.Misconfigured, "URL", "URL: missing"},
		{`"Type":"TCP"`, "", btp.Misconfigured, "Address", "Address: missing"},
		{`"Type":"HTTP","URL":"ftp://x"`, "", btp.Misconfigured, "URL", "expected http://HOST"},
		{`"Type":"HTTP","URL":"https://me:` + "pw" + `@x"`, "", btp.Misconfigured, "URL", "without user and password"},
		{`"Type":"HTTP","URL":"https://x:99999"`, "", btp.Misconfigured, "URL", "expected a port"},
		{address + `"ProxyType":"Moon"`, "", btp.Misconfigured, "ProxyType", `found "Moon"`},
		{address + `"Authentication":"BasicAuthentication"`, "", btp.Misconfigured, "User", "User: missing"},
		{address + `"Authentication":"PrincipalPropagation"`, "", btp.Misconfigured, "Authentication",
			"needs a logged-on user"},
		{address + `"Authentication":"OAuth2SAMLBearerAssertion"`, "", btp.Misconfigured, "Authentication",
			"SystemUser"},
		{address + `"Authentication":"Riddle"`, "", btp.Misconfigured, "Authentication", "delivered no token"},
		{address + `"Authentication":"OAuth2ClientCredentials","clientSecret":"` + secret + `"`,
			`"authTokens":[{"type":"","value":"","error":"401 for ` + secret + `","expires_in":"0"}]`,
			btp.Unauthorized, "Authentication", "could not get a token: 401 for ***"},
		{address + `"Authentication":"ClientCertificateAuthentication"`, "", btp.Misconfigured, "KeyStoreLocation",
			"missing"},
		{address + `"Authentication":"ClientCertificateAuthentication","KeyStoreLocation":"a.p12"`,
			`"certificates":[{"Name":"b.p12","Content":"AQID"}]`,
			btp.Misconfigured, "KeyStoreLocation", `expected a store "a.p12"`},
		{address + `"Authentication":"ClientCertificateAuthentication","KeyStoreLocation":"a.p12"`,
			`"certificates":[{"Name":"a.p12","Content":"?"}]`,
			btp.Misconfigured, "KeyStoreLocation", "as base64"},
		{address + `"TrustStoreLocation":"ca.pem"`, "", btp.Misconfigured, "TrustStoreLocation",
			`expected a store "ca.pem"`},
	} {
		s := newDestinationService(t)
		if c.more == "" {
			c.more = `"authTokens":[]`
		}
		s.put("S4", c.properties, c.more)
		_, err := s.open(t).Find(t.Context(), "S4")
		wantFailure(t, err, c.kind, c.setting, "destination S4: ", c.part)
	}
}

func TestDestinationServiceErrors(t *testing.T) {
	s := newDestinationService(t)
	_, err := s.open(t).Find(t.Context(), "a/b c")
	wantFailure(t, err, btp.NotFound, "a/b c",
		`destination "a/b c": found neither in the service instance my-destinations nor in the subaccount sub-1`,
		"case-sensitive")
	assert.Equal(t, []string{"GET /destination-configuration/v1/destinations/a%2Fb%20c"}, s.requests)
	s.token = "no such"
	_, err = s.open(t).Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unauthorized, "", "answered 401: refused: Bearer ***")
	s.fail(403)
	_, err = s.open(t).Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unauthorized, "", "answered 403")
	s.fail(500)
	_, err = s.open(t).Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unavailable, "", "answered 500")
	s.tokens.setHandler(status(401, ""))
	_, err = s.open(t).Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unauthorized, "client-id", "token service")
	_, err = s.open(t).Find(t.Context(), "")
	wantFailure(t, err, btp.Misconfigured, "", "expected a name")
	for _, uri := range []string{"", "dest.example.com", "https://a:b@c", "https://h?", "https://h#x"} {
		_, err := btp.NewDestinations(btp.DestinationService{Credentials: credentials(s.URL), URI: uri},
			btp.TokenOptions{})
		wantFailure(t, err, btp.Misconfigured, "uri", "uri")
	}
}

// A token that the service rejects, for example after a change of its keys, is renewed without an error.
func TestRejectedDestinationTokenIsRenewed(t *testing.T) {
	s := newDestinationService(t)
	s.put("S4", `"Type":"HTTP","URL":"https://one"`)
	d := s.open(t)
	wantHost(t, d, "one")
	s.mu.Lock()
	s.token = "token-2"
	s.mu.Unlock()
	s.clock.advance(5 * time.Minute)
	s.put("S4", `"Type":"HTTP","URL":"https://two"`)
	wantHost(t, d, "two")
}

func wantHost(t *testing.T, d *btp.Destinations, host string) btp.Destination {
	t.Helper()
	got, err := d.Find(t.Context(), "S4")
	require.True(t, err == nil && got.Host == host, "expected %s, found %s, %v", host, got.Host, err)
	return got
}

func TestDestinationIsCached(t *testing.T) {
	s := newDestinationService(t)
	s.tokens.lifetime = `,"expires_in":43200`
	s.put("S4", `"Type":"HTTP","URL":"https://one"`)
	d := s.open(t)
	wantHost(t, d, "one")
	s.put("S4", `"Type":"HTTP","URL":"https://two"`)
	s.clock.advance(239 * time.Second)
	wantHost(t, d, "one")
	s.clock.advance(2 * time.Second)
	wantHost(t, d, "two")

	// During an outage the destination stays in use for an hour.
	s.fail(503)
	s.clock.advance(30 * time.Minute)
	asked := s.requestCount()
	wantHost(t, d, "two")
	wantHost(t, d, "two")
	assert.Equal(t, 1, s.requestCount()-asked, "requests")
	s.clock.advance(40 * time.Minute)
	_, err := d.Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unavailable, "", "answered 503")

	// Afterwards the next call does not request it again.
	asked = s.requestCount()
	_, err = d.Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unavailable, "", "answered 503")
	assert.Equal(t, 0, s.requestCount()-asked, "requests while it is known to be unreachable")
	s.clock.advance(11 * time.Second)

	// A deleted destination is not used any more.
	s.fail(0)
	wantHost(t, d, "two")
	s.mu.Lock()
	clear(s.answers)
	s.mu.Unlock()
	s.clock.advance(5 * time.Minute)
	_, err = d.Find(t.Context(), "S4")
	wantFailure(t, err, btp.NotFound, "S4")

	s.put("S4", `"Type":"HTTP","URL":"https://three"`)
	wantHost(t, d, "three")
	s.put("S4", `"Type":"HTTP","URL":"https://four"`)
	d.Forget("S4")
	wantHost(t, d, "four")
}

// The response to a request from before Forget is not cached.
func TestForgetDuringRequest(t *testing.T) {
	s := newDestinationService(t)
	s.put("S4", `"Type":"HTTP","URL":"https://one"`)
	g := newGate(t, s.tokens)
	d := s.open(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := d.Find(t.Context(), "S4")
		assert.NoError(t, err)
	})
	g.wait()
	d.Forget("S4")
	g.handlers <- status(200, `{"access_token":"token-1","expires_in":3600}`)
	wg.Wait()
	assert.Equal(t, 2, s.requestCount(), "requests")
}

// A delivered token is renewed by requesting the destination again.
func TestDeliveredTokenIsRenewed(t *testing.T) {
	s := newDestinationService(t)
	s.tokens.lifetime = `,"expires_in":43200`
	put := func(token, lifetime string) {
		s.put("S4", `"Type":"HTTP","URL":"https://one","Authentication":"OAuth2ClientCredentials"`,
			bearer(token, lifetime))
	}
	want := func(target btp.Destination, value string) {
		t.Helper()
		require.True(t, target.Token != nil && target.Token.Value == "Bearer "+value,
			"expected the token %s, found %v", value, target.Token)
	}
	put("a", "100")
	d := s.open(t)
	want(wantHost(t, d, "one"), "a")
	put("b", "100")
	s.clock.advance(49 * time.Second)
	want(wantHost(t, d, "one"), "a")
	s.clock.advance(2 * time.Second)
	want(wantHost(t, d, "one"), "b")

	s.fail(503)
	s.clock.advance(60 * time.Second)
	want(wantHost(t, d, "one"), "b")
	s.clock.advance(41 * time.Second)
	_, err := d.Find(t.Context(), "S4")
	wantFailure(t, err, btp.Unavailable, "", "answered 503")
	s.fail(0)
	s.clock.advance(11 * time.Second) // until then it counts as unreachable

	put("c", "3600")
	want(wantHost(t, d, "one"), "c")
	_, err = d.Renew(t.Context(), "S4", "Bearer c")
	wantFailure(t, err, btp.Unauthorized, "", "returned the refused token again")
	put("d", "3600")
	renewed, err := d.Renew(t.Context(), "S4", "Bearer c")
	require.NoError(t, err)
	want(renewed, "d")
	asked := s.requestCount()
	if renewed, err = d.Renew(t.Context(), "S4", "Bearer c"); err != nil || s.requestCount() != asked {
		t.Errorf("expected what another caller has renewed, found %v, %v", renewed.Token, err)
	}
}

func TestConnectedCloudConnectors(t *testing.T) {
	tokens := newTokenService(t)
	body := `[{"attributes":{"connected_by":"a@b","connected_since":"1762174293176","agent_version":"2.18.0",
		"exposed_systems":"[{\"protocol\":\"TCP\",\"host\":\"kafka:9092\",\"description\":\"k\",\"type\":\"nonSAPsys\",\"status\":\"exposed\"}]"}},
		{"attributes":{"location_id":"DE-Berlin","exposed_systems":[{"protocol":"HTTP","host":"s4:80","status":"hidden"}]}},
		{"attributes":{"exposed_systems":"odd"},"location_id":"x"}]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/info" || r.Header.Get("Authorization") != "Bearer token-1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	info := btp.ConnectivityAPI{Credentials: credentials(tokens.URL), ServiceURL: s.URL, InfoPath: "/api/info"}
	options := btp.TokenOptions{Logger: newLogger(t)}
	got, err := btp.ConnectedCloudConnectors(t.Context(), info, options)
	require.NoError(t, err)
	assert.Equal(t, []string{"", "DE-Berlin", "x"}, got)
	body = `{"error":"no list"}`
	tokens.issued = 0
	_, err = btp.ConnectedCloudConnectors(t.Context(), info, options)
	wantFailure(t, err, btp.Misconfigured, "", "expected a list of Cloud Connectors")
	info.InfoPath = ""
	_, err = btp.ConnectedCloudConnectors(t.Context(), info, options)
	wantFailure(t, err, btp.Misconfigured, "scc_info_path", "missing: scc_info_path", "api_access")
	info.InfoPath = "/x"
	info.ServiceURL = ""
	_, err = btp.ConnectedCloudConnectors(t.Context(), info, options)
	wantFailure(t, err, btp.Misconfigured, "connectivity_service.url", "missing: connectivity_service.url")
}

// A service that rejects the binding is called again after 10 s, then at doubling intervals up to 10 min, even after
// Forget, until it accepts it.
func TestRejectedBindingIsRetriedAtGrowingIntervals(t *testing.T) {
	s := newDestinationService(t)
	s.put("S4", `"Type":"HTTP","URL":"https://s4","ProxyType":"Internet","Authentication":"NoAuthentication"`)
	s.fail(403)
	d := s.open(t)
	// requestsOfFind returns the number of requests that Find sends.
	requestsOfFind := func() int {
		t.Helper()
		before := s.requestCount()
		_, err := d.Find(t.Context(), "S4")
		wantFailure(t, err, btp.Unauthorized, "", "answered 403")
		d.Forget("S4")
		return s.requestCount() - before
	}
	require.True(t, requestsOfFind() != 0, "expected a request")
	for n, pause := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
		s.clock.advance(pause*time.Second - time.Second)
		assert.Equal(t, 0, requestsOfFind(), "requests a second before a pause is over", n, pause*time.Second)
		s.clock.advance(2 * time.Second)
		assert.True(t, requestsOfFind() != 0, "pause %d: expected a request after %v", n, pause*time.Second)
	}
	s.fail(0)
	s.clock.advance(601 * time.Second)
	_, err := d.Find(t.Context(), "S4")
	require.NoError(t, err)
	s.fail(403)
	d.Forget("S4")
	require.True(t, requestsOfFind() != 0, "expected a request after a success")
	s.clock.advance(11 * time.Second)
	assert.True(t, requestsOfFind() != 0, "expected the interval to restart")
}
