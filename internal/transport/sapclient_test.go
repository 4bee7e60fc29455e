package transport

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// clientUserCase is a request that may name an SAP client or user.
type clientUserCase struct {
	configured string // client of the settings
	request    *wit.Request
	problem    string // part of the error; "" means that the request is sent
}

func clientUserCases() []clientUserCase {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	withBody := func(contentType, body string) *wit.Request {
		r := post("/f")
		r.Headers = []wit.Header{{Name: "content-type", Value: contentType}}
		r.Body = []byte(body)
		return r
	}
	withTokenPath := func(path string) *wit.Request { return withToken(post("/f"), path) }
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	return []clientUserCase{
		{configured: "100", request: get("/a?sap-client=100&$top=1")},
		{configured: "100", request: get("/a?$top=1&SAP-Client=100")},
		{configured: "100", request: get("/a?sap%2Dclient=%3100")},
		{configured: "100", request: get("/a?x=sap-client")},
		{configured: "100", request: get("/a?$filter=Name%20eq%20'sap-user'")},
		{configured: "100", request: get("/a('sap-client')/b(1)?$skiptoken=sap-client%3D999")},
		{configured: "100", request: get("/sap(" + encode("l=en&c=100") + ")/x")},
		{configured: "1", request: get("/a?sap-client=001")},
		{request: get("/a?sap-client=999")},
		{request: get("/a?sap-client=999&sap-client=999")},
		{request: get("/a?sap-language=DE")},
		{configured: "100", request: withBody(form, "x=1&sap-client=100")},
		{configured: "100", request: withBody("application/json", `{"sap-user":"x"}`)},
		{configured: "100", request: get("/a?sap-client=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?sap-client="), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?SAP-CLIENT=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?%73ap%2dclient=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?%2573ap-client=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?+sap-client=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?sap-client=100&sap-client=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a?x=1;sap-client=999"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/a;sap-client=999/b?x=1"), problem: "expected SAP client 100"},
		{configured: "100", request: get("/sap(" + encode("c=999&l=en") + ")/x"), problem: "expected SAP client 100"},
		{
			configured: "100",
			request:    get("/sap%28" + url.PathEscape(strings.TrimRight(encode("c=999"), "=")) + "%29/x"),
			problem:    "expected SAP client 100",
		},
		{
			configured: "100",
			request:    get("http://sap.example:8000/a?sap-client=999"),
			problem:    "expected SAP client 100",
		},
		{
			configured: "100",
			request:    withTokenPath("/a?sap-client=999"),
			problem:    "token-from of a request: expected SAP client 100",
		},
		{
			configured: "100",
			request:    withBody(form, "sap-client=999"),
			problem:    "form of a request: expected SAP client 100",
		},
		{request: get("/a?sap-client=100&sap-client=999"), problem: "expected one SAP client"},
		{request: get("/a?sap-client=1000"), problem: "at most three digits"},
		{request: get("/a?sap-client=x"), problem: "at most three digits"},
		{configured: "100", request: get("/a?sap-user=DDIC"), problem: "found sap-user"},
		{request: get("/a?sap-user=DDIC"), problem: "found sap-user"},
		{request: get("/a?Sap-Password=x"), problem: "found sap-password"},
		{request: get("/a?sap-passwor%64=x"), problem: "found sap-password"},
		{request: get("/a?sap-user"), problem: "found sap-user"},
		{request: get("/a;sap-user=DDIC?x=1"), problem: "found sap-user"},
		{request: withTokenPath("/a?sap-user=DDIC"), problem: "found sap-user"},
		{request: withBody(form, "a=b&sap-user=DDIC"), problem: "found sap-user"},
		{request: withBody("Application/X-WWW-Form-Urlencoded", "sap-password=x"), problem: "found sap-password"},
		{
			request: withBody("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; "+
				"name=\"SAP-User\"\r\n\r\nDDIC\r\n--b--"),
			problem: "found sap-user",
		},
	}
}

// A request may name the configured client, or any without one, but no user or password.
func TestClientsAndUsersOfRequests(t *testing.T) {
	for _, c := range clientUserCases() {
		sent := 0
		service(t, func(http.ResponseWriter, *http.Request) { sent++ }, func(k *Config) {
			k.User = "u"
			k.Password = "p"
			k.Headers = map[string]string{"sap-client": c.configured}
		}, func(t *testing.T, client *Client) {
			_, _, err := readText(t, client, c.request)
			switch {
			case c.problem == "" && (err != nil || sent == 0):
				t.Errorf("client %q, %s %s: expected it to be sent, found %v", c.configured, c.request.Target,
					c.request.Body, err)
			case c.problem != "":
				assert.Equal(t, 0, sent, "sent", c.configured, c.request.Target, string(c.request.Body))
				wantFault(t, err, wit.ErrorData, c.problem)
			}
		})
	}
}

// A redirect must not change client or user.
func TestRedirectToAnotherClient(t *testing.T) {
	for _, location := range []string{"/b?sap-client=999", "/b?sap-user=DDIC&sap-password=x", "b;sap-client=999"} {
		service(t, func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/a", r.URL.Path, "followed to", r.RequestURI)
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}, setClient100, func(t *testing.T, c *Client) {
			wantFaultOf(t, c, get("/a"), wit.ErrorData, "redirect of a request")
		})
	}
}

// A lockout applies to one client. Requests to other clients are sent.
func TestLockoutOfOneClient(t *testing.T) {
	store := lockouts.New()
	sent := map[string]int{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		client := r.URL.Query().Get("sap-client")
		sent[client]++
		if client == "999" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	service(t, handler, func(c *Config) { setUser(c); c.Lockouts = store }, func(t *testing.T, c *Client) {
		wantStatus(t, c, get("/?sap-client=999"), 401)
		wantFaultOf(t, c, get("/?sap-client=999"), wit.ErrorUnauthorized, "client 999", "is not sent again")
		if refusal := c.Refusal(); !strings.Contains(refusal, "client 999") {
			t.Errorf("expected the refusal for client 999, found %q", refusal)
		}
		for _, target := range []string{"/", "/?sap-client=200"} {
			wantStatus(t, c, get(target), 200)
		}
		assert.Equal(t, map[string]int{"999": 1, "": 1, "200": 1}, sent)
		if n, err := store.Resume(t.Context()); n != 1 || err != nil || c.Refusal() != "" {
			t.Errorf("expected one refusal to be forgotten, found %d, %v, %q", n, err, c.Refusal())
		}
	})
}

// Methods whose response may contain the request are rejected.
func TestMethodsOfPlugins(t *testing.T) {
	// withHeader returns a request whose header may name another method.
	withHeader := func(method, header, value string) *wit.Request {
		return &wit.Request{Method: method, Target: "/", Headers: []wit.Header{{Name: header, Value: value}}}
	}
	service(t, func(_ http.ResponseWriter, r *http.Request) {
		assert.True(t, r.Method != "TRACE" && !strings.EqualFold(r.Header.Get("X-Http-Method"), "TRACE"),
			"expected no request with %s", r.Method)
	}, nil, func(t *testing.T, c *Client) {
		// Methods of requests
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "MERGE", "DELETE"} {
			_, _, err := readText(t, c, &wit.Request{Method: method, Target: "/"})
			assert.NoError(t, err, method)
		}
		for _, method := range []string{"TRACE", "trace", "Trace", "OPTIONS", "CONNECT", "TRACK", "DEBUG", "PROPFIND",
			"get", "Post", "merge", "", "GET ", "G\tET"} {
			wantFaultOf(t, c, &wit.Request{Method: method, Target: "/"}, wit.ErrorData,
				"method of a request: expected one of GET, HEAD, POST, PUT, PATCH, MERGE, DELETE")
		}

		// Methods in headers of requests
		for _, r := range []*wit.Request{
			withHeader("POST", "X-HTTP-Method", "MERGE"),
			withHeader("POST", "x-http-method-override", "DELETE"),
			withHeader("GET", "X-Method", "TRACE"), // has no meaning
		} {
			_, _, err := readText(t, c, r)
			assert.NoError(t, err, r.Headers)
		}
		for _, r := range []*wit.Request{
			withHeader("POST", "X-HTTP-Method", "TRACE"),
			withHeader("POST", "X-HTTP-Method-Override", "trace"),
			withHeader("POST", "x_http_method", "OPTIONS"),
			withHeader("POST", "X-Method-Override", "MERGE, TRACE"),
			withHeader("GET", "X-HTTP-Method", "MERGE"),
			withHeader("POST", "X-HTTP-Method", ""),
		} {
			wantFaultOf(t, c, r, wit.ErrorData, "of a request: expected")
		}
	})
}

// Any client, user or password that a server would read from a query is found.
func FuzzClientsOf(f *testing.F) {
	for _, line := range []string{"/a?sap-client=100", "/a;sap-user=x?y", "/sap(bD1lbiZjPTEwMA==)/x",
		"/?%73ap-password", "/?a&;&=&sap-client", "/(%"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		clients, err := clientsInLine("target", line)
		_, query, _ := strings.Cut(line, "?")
		values, parseErr := url.ParseQuery(query)
		if parseErr != nil {
			return
		}
		for name := range values {
			switch strings.ToLower(name) {
			case sapUser, sapPassword:
				assert.True(t, err != nil, "%q: expected the line to be rejected", line)
			case sapClient:
				assert.True(t, err != nil || len(clients) != 0, "%q: expected a client to be found", line)
			}
		}
	})
}
