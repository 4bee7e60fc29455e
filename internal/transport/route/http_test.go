package route_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// openBehindConnector starts a subaccount with a system behind a Cloud Connector, and returns a route through the HTTP
// port with changed settings.
func openBehindConnector(t *testing.T, change func(*route.Settings)) (*connectivitytest.Server, http.RoundTripper) {
	t.Helper()
	s := startSubaccount(t)
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s host=%s body=%s auth=%s", r.Method, r.URL, r.Host, text, r.Header.Get("Authorization"))
	}))
	t.Cleanup(system.Close)
	s.Map("erp.virtual:80", strings.TrimPrefix(system.URL, "http://"))
	settings := route.Settings{
		Type:        route.ConnectivityHTTP,
		TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
		Name:        settingName,
	}
	change(&settings)
	r := routeOf(t, settings)
	assert.Equal(t, s.HTTP, r.Address())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s, r.RoundTripper(transport)
}

func send(t *testing.T, roundTripper http.RoundTripper, method, address string, body io.Reader) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(boundedContext(t), method, address, body)
	require.NoError(t, err)
	request.SetBasicAuth("me", "password")
	headerBefore := request.Header.Clone()
	response, err := roundTripper.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, headerBefore, request.Header, "the caller's request to be unchanged")
	return response.StatusCode, string(text)
}

func TestConnectivityHTTP(t *testing.T) {
	s, roundTripper := openBehindConnector(t, func(settings *route.Settings) {
		settings.Locations = []string{"EU 1"}
		settings.AddressMap = map[string]string{"erp.corp:80": "erp.virtual:80"}
	})
	s.Attach("EU 1")
	status, text := send(t, roundTripper, "GET", "http://erp.virtual/sap?x=1", nil)
	assert.Equal(t, 200, status, "status by the virtual address")
	assert.Equal(t, "GET /sap?x=1 host=erp.virtual body= auth=Basic bWU6cGFzc3dvcmQ=", text)
	status, text = send(t, roundTripper, "GET", "http://erp.corp/sap", nil)
	assert.Equal(t, 200, status, "status by the mapped address")
	assert.Equal(t, "GET /sap host=erp.virtual:80 body= auth=Basic bWU6cGFzc3dvcmQ=", text)
	for _, e := range s.Ledger() {
		assert.True(t, e.Port != "http" || e.Location == "EU 1", "expected the location id in plain text, found %+v", e)
	}
	s.ExpireTokens()
	status, text = send(t, roundTripper, "POST", "http://erp.virtual/sap", strings.NewReader("entity"))
	assert.True(t, status == 200 && strings.Contains(text, "body=entity"),
		"after the token expired: expected status 200 and the entity, found %d %s", status, text)
	assert.Equal(t, 2, s.TokenCount(s.Connectivity), "tokens")
	// With a body that cannot be read again the caller gets the error, and the next request has another token.
	s.ExpireTokens()
	status, _ = send(t, roundTripper, "POST", "http://erp.virtual/sap", io.MultiReader(strings.NewReader("entity")))
	assert.Equal(t, 407, status, "the proxy's status")
	status, _ = send(t, roundTripper, "POST", "http://erp.virtual/sap", io.MultiReader(strings.NewReader("entity")))
	assert.True(t, status == 200, "expected status 200 with another token, found %d", status)
	request, _ := http.NewRequest("GET", "https://erp.virtual/", nil)
	if _, err := roundTripper.RoundTrip(request); err == nil || !strings.Contains(err.Error(), "kafka.proxy.type") ||
		!strings.Contains(err.Error(), "sap-connectivity-socks5") {
		t.Errorf("https: expected an error that names the setting and the SOCKS5 type, found %v", err)
	}
}

func TestConnectivityHTTPLocations(t *testing.T) {
	s, roundTripper := openBehindConnector(t, func(settings *route.Settings) {
		settings.Locations = []string{"EU", "", "US"}
	})
	s.Detach("")
	s.Attach("US")
	var statuses []int
	for range 4 {
		status, _ := send(t, roundTripper, "GET", "http://erp.virtual/", nil)
		statuses = append(statuses, status)
	}
	s.Detach("US")
	s.Attach("EU")
	for range 3 {
		status, _ := send(t, roundTripper, "GET", "http://erp.virtual/", nil)
		statuses = append(statuses, status)
	}
	assert.Equal(t, []int{503, 503, 200, 200, 503, 200, 200}, statuses)
}

// A late 503 does not revert the location that other requests have selected.
func TestConnectivityHTTPLateLocation(t *testing.T) {
	arrived := make(chan struct{})
	release := make(chan struct{})
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("SAP-Connectivity-SCC-Location_ID") == "third" {
			return
		}
		if strings.HasSuffix(r.RequestURI, "/late") {
			close(arrived)
			<-release
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, roundTripper := openBehindConnector(t, func(settings *route.Settings) {
		settings.Locations = []string{"first", "second", "third"}
		settings.Forward = dialFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(proxy.URL, "http://"))
		})
	})
	lateStatus := make(chan int)
	go func() {
		defer close(lateStatus)
		status, _ := send(t, roundTripper, "GET", "http://erp.virtual/late", nil)
		lateStatus <- status
	}()
	<-arrived
	var statuses []int
	for range 2 {
		status, _ := send(t, roundTripper, "GET", "http://erp.virtual/", nil)
		statuses = append(statuses, status)
	}
	close(release)
	statuses = append(statuses, <-lateStatus)
	status, _ := send(t, roundTripper, "GET", "http://erp.virtual/", nil)
	assert.Equal(t, []int{503, 503, 503, 200}, append(statuses, status))
}

func TestConnectivityHTTPRejectsConnections(t *testing.T) {
	s := startSubaccount(t)
	r := routeOf(t, route.Settings{
		Type:        route.ConnectivityHTTP,
		TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
		Name:        settingName,
	})
	_, err := r.DialContext(boundedContext(t), "tcp", "kafka:9092")
	assert.Error(t, err, "kafka.proxy.type", "names the setting")
}

// Requests through the SOCKS5 port use the given transport, also with https.
func TestTransportUsesSOCKS(t *testing.T) {
	s := startSubaccount(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host)
	}))
	defer secure.Close()
	s.Map("example.com:44300", strings.TrimPrefix(secure.URL, "https://"))
	r := routeOf(t, route.Settings{Type: route.ConnectivitySOCKS5, TokenSource: route.TokenSource{VCAP: s.VCAP(0)}})
	transport := &http.Transport{TLSClientConfig: secure.Client().Transport.(*http.Transport).TLSClientConfig}
	defer transport.CloseIdleConnections()
	status, text := send(t, r.RoundTripper(transport), "GET", "https://example.com:44300/", nil)
	assert.True(t, status == 200 && text == "example.com:44300",
		"expected status 200 and the host, found %d %s", status, text)
}
