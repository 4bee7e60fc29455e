package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A signedCase is a call that is signed, then changed, and its response.
type signedCase struct {
	call   string
	body   string
	change func(*http.Request)
	status int
	want   string
}

// A call needs only its signature, whatever access checks users have. A call that was changed, forged, repeated, or
// signed for another worker is rejected and has no effect.
func TestSignedCalls(t *testing.T) {
	i := newInternals(t, firstKey)
	signer := newSession(t, firstKey)
	for _, cases := range []map[string]signedCase{acceptedCalls(), rejectedCalls(), callsOfUsers()} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) { checkSigned(t, i, signer, c) })
		}
	}
	r := httptest.NewRequest("POST", i.url+"/culvert/internal/permit", strings.NewReader("{}"))
	require.NoError(t, signer.Sign(r, []byte("{}")))
	if mac, err := base64.StdEncoding.DecodeString(r.Header.Get(signatureHeader)); err != nil || len(mac) != 32 {
		t.Errorf("expected a signature of 32 bytes in base64, found %q", r.Header.Get(signatureHeader))
	}
	hash, err := signer.verify(r, i.url)
	require.NoError(t, err)
	assert.Equal(t, sumOf("{}"), fmt.Sprintf("%x", hash), "the signed hash is that of the body")
}

func checkSigned(t *testing.T, i *internals, signer *Session, c signedCase) {
	callsBefore := i.handledCalls.Load()
	status, answer := i.send(t, signer, c.call, c.body, c.change)
	if status != c.status || !strings.Contains(answer, c.want) {
		t.Errorf("expected %d %s, found %d %.300s", c.status, c.want, status, answer)
	}
	var response failure // a single one: after a panic in the handler no user route handles the call
	err := json.Unmarshal([]byte(answer), &response)
	if status >= 400 && (err != nil || response.Code != status) {
		t.Errorf("expected one response with %d, found %s", status, answer)
	}
	handled := i.handledCalls.Load() - callsBefore
	mayBeHandled := status < 400 || status == 409 || status == 500
	if handled > 1 || (handled == 1 && !mayBeHandled) {
		t.Errorf("found %d handled calls for status %d", handled, status)
	}
}

func withHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// withSigned replaces one of the values that are signed.
func withSigned(n int, value string) func(*http.Request) {
	return func(r *http.Request) {
		parts := strings.Split(r.Header.Get(signedHeader), " ")
		parts[n] = value
		r.Header.Set(signedHeader, strings.Join(parts, " "))
	}
}

func withBody(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(text))
		r.ContentLength = int64(len(text))
	}
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func acceptedCalls() map[string]signedCase {
	return map[string]signedCase{
		"a permit":       {permit, "{}", nil, 200, `{"body":"{}","connector":""}`},
		"an empty body":  {permit, "", nil, 200, `{"body":"","connector":""}`},
		"a query":        {permit + "?a=b;c&d=%2f", "{}", nil, 200, `"body":"{}"`},
		"tasks":          {"POST /connectors/a%20!b+c/tasks", "[]", nil, 200, `"connector":"a !b+c"`},
		"a fence":        {"PUT /connectors/{name}/fence/", "", nil, 200, `"connector":"{name}"`},
		"no answer":      {permit, "nothing", nil, 204, ""},
		"a refusal":      {permit, "refuse", nil, 409, `{"error_code":409,"message":"another worker has it"}`},
		"a panic":        {permit, "panic", nil, 500, "an internal error of culvert"},
		"the largest":    {permit, strings.Repeat("x", maxCallBytes), nil, 200, "xxxxxxxxxx"},
		"with an Origin": {permit, "{}", withHeader("Origin", "https://evil.example"), 200, ""},
	}
}

func rejectedCalls() map[string]signedCase {
	const missing = "Internal request missing required signature"
	const forged = "Internal request contained invalid signature."
	bodyAndSum := func(r *http.Request) {
		withBody("[]")(r)
		withSigned(2, sumOf("[]"))(r)
	}
	asPost := func(r *http.Request) {
		r.Method = "POST"
		r.Host = ""
	}
	pathOf := func(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }
	return map[string]signedCase{
		"no signature":   {permit, "{}", withHeader(signatureHeader, ""), 400, missing},
		"no algorithm":   {permit, "{}", withHeader(algorithmHeader, ""), 400, missing},
		"two signatures": {permit, "{}", func(r *http.Request) { r.Header.Add(signatureHeader, "x") }, 400, missing},
		"another hash": {permit, "{}", withHeader(algorithmHeader, "HmacSHA512"), 400,
			"configured to use: [HmacSHA256]"},
		"no signed values":        {permit, "{}", withHeader(signedHeader, ""), 403, forged},
		"no base64":               {permit, "{}", withHeader(signatureHeader, "?"), 403, forged},
		"another signature":       {permit, "{}", withHeader(signatureHeader, "S2Fma2Flc3F1ZQ=="), 403, forged},
		"another key":             {permit, "{}", withSigned(0, "0123456789abcdef"), 403, forged},
		"another nonce":           {permit, "{}", withSigned(1, strings.Repeat("0", 32)), 403, forged},
		"a long nonce":            {permit, "{}", withSigned(1, strings.Repeat("0", 34)), 403, forged},
		"no nonce":                {permit, "{}", withSigned(1, "x"), 403, forged},
		"another digest":          {permit, "{}", withSigned(2, sumOf("[]")), 403, forged},
		"another body":            {permit, "{}", withBody("[]"), 403, forged},
		"a longer body":           {permit, "{}", withBody("{}{}"), 403, forged},
		"another body and digest": {permit, "{}", bodyAndSum, 403, forged},
		"another method":          {"PUT /connectors/a/fence", "", asPost, 401, ""},
		"another path":            {"PUT /connectors/a/fence", "", pathOf("/connectors/b/fence"), 403, forged},
		"another spelling":        {"PUT /connectors/a/fence", "", func(r *http.Request) { r.URL.Path += "/" }, 403, forged},
		"another call":            {permit, "{}", pathOf("/connectors/a/tasks"), 403, forged},
		"another query":           {permit + "?a=b", "{}", func(r *http.Request) { r.URL.RawQuery = "a=c" }, 403, forged},
		"too large":               {permit, strings.Repeat("x", maxCallBytes+1), nil, 413, "expected at most 8388608 bytes"},
	}
}

// callsOfUsers returns calls of users' paths, which have the access checks of users, and of paths that do not exist.
func callsOfUsers() map[string]signedCase {
	noHost := func(r *http.Request) { r.Host = "" }
	return map[string]signedCase{
		"a user's path":                   {"PUT /connectors/a/config", "{}", nil, 403, "Host is not a name of this worker"},
		"a user's read":                   {"GET /connectors", "", nil, 403, "Host is not a name of this worker"},
		"a user's read with a valid Host": {"GET /connectors", "", func(r *http.Request) { r.Host = "localhost" }, 401, ""},
		"an unknown path":                 {"POST /culvert/internal/other", "{}", noHost, 401, ""},
		"another method":                  {"GET /culvert/internal/permit", "", noHost, 401, ""},
		"encoded slashes":                 {"POST /culvert%2Finternal/permit", "", noHost, 401, ""},
		"dots in its path":                {"POST /culvert/internal/x/../permit", "", noHost, 401, ""},
	}
}
