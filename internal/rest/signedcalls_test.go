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
	assert.True(t, status == c.status && strings.Contains(answer, c.want),
		"expected %d %s, found %d %.300s", c.status, c.want, status, answer)
	var response failure // a single one: after a panic in the handler no user route handles the call
	err := json.Unmarshal([]byte(answer), &response)
	assert.True(t, status < 400 || (err == nil && response.Code == status),
		"expected one response with %d, found %s", status, answer)
	handled := i.handledCalls.Load() - callsBefore
	mayBeHandled := status < 400 || status == 409 || status == 500
	assert.True(t, handled <= 1 && (handled != 1 || mayBeHandled),
		"found %d handled calls for status %d", handled, status)
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
		"a permit":      {call: permit, body: "{}", status: 200, want: `{"body":"{}","connector":""}`},
		"an empty body": {call: permit, status: 200, want: `{"body":"","connector":""}`},
		"a query":       {call: permit + "?a=b;c&d=%2f", body: "{}", status: 200, want: `"body":"{}"`},
		"tasks": {
			call:   "POST /connectors/a%20!b+c/tasks",
			body:   "[]",
			status: 200,
			want:   `"connector":"a !b+c"`,
		},
		"a fence":   {call: "PUT /connectors/{name}/fence/", status: 200, want: `"connector":"{name}"`},
		"no answer": {call: permit, body: "nothing", status: 204},
		"a refusal": {
			call:   permit,
			body:   "refuse",
			status: 409,
			want:   `{"error_code":409,"message":"another worker has it"}`,
		},
		"a panic":        {call: permit, body: "panic", status: 500, want: "an internal error of culvert"},
		"the largest":    {call: permit, body: strings.Repeat("x", maxCallBytes), status: 200, want: "xxxxxxxxxx"},
		"with an Origin": {call: permit, body: "{}", change: withHeader("Origin", "https://evil.example"), status: 200},
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
		"no signature": {
			call:   permit,
			body:   "{}",
			change: withHeader(signatureHeader, ""),
			status: 400,
			want:   missing,
		},
		"no algorithm": {
			call:   permit,
			body:   "{}",
			change: withHeader(algorithmHeader, ""),
			status: 400,
			want:   missing,
		},
		"two signatures": {
			call:   permit,
			body:   "{}",
			change: func(r *http.Request) { r.Header.Add(signatureHeader, "x") },
			status: 400,
			want:   missing,
		},
		"another hash": {
			call:   permit,
			body:   "{}",
			change: withHeader(algorithmHeader, "HmacSHA512"),
			status: 400,
			want:   "configured to use: [HmacSHA256]",
		},
		"no signed values": {
			call:   permit,
			body:   "{}",
			change: withHeader(signedHeader, ""),
			status: 403,
			want:   forged,
		},
		"no base64": {
			call:   permit,
			body:   "{}",
			change: withHeader(signatureHeader, "?"),
			status: 403,
			want:   forged,
		},
		"another signature": {
			call:   permit,
			body:   "{}",
			change: withHeader(signatureHeader, "S2Fma2Flc3F1ZQ=="),
			status: 403,
			want:   forged,
		},
		"another key": {
			call:   permit,
			body:   "{}",
			change: withSigned(0, "0123456789abcdef"),
			status: 403,
			want:   forged,
		},
		"another nonce": {
			call:   permit,
			body:   "{}",
			change: withSigned(1, strings.Repeat("0", 32)),
			status: 403,
			want:   forged,
		},
		"a long nonce": {
			call:   permit,
			body:   "{}",
			change: withSigned(1, strings.Repeat("0", 34)),
			status: 403,
			want:   forged,
		},
		"no nonce": {call: permit, body: "{}", change: withSigned(1, "x"), status: 403, want: forged},
		"another digest": {
			call:   permit,
			body:   "{}",
			change: withSigned(2, sumOf("[]")),
			status: 403,
			want:   forged,
		},
		"another body":            {call: permit, body: "{}", change: withBody("[]"), status: 403, want: forged},
		"a longer body":           {call: permit, body: "{}", change: withBody("{}{}"), status: 403, want: forged},
		"another body and digest": {call: permit, body: "{}", change: bodyAndSum, status: 403, want: forged},
		"another method":          {call: "PUT /connectors/a/fence", change: asPost, status: 401},
		"another path": {
			call:   "PUT /connectors/a/fence",
			change: pathOf("/connectors/b/fence"),
			status: 403,
			want:   forged,
		},
		"another spelling": {
			call:   "PUT /connectors/a/fence",
			change: func(r *http.Request) { r.URL.Path += "/" },
			status: 403,
			want:   forged,
		},
		"another call": {
			call:   permit,
			body:   "{}",
			change: pathOf("/connectors/a/tasks"),
			status: 403,
			want:   forged,
		},
		"another query": {
			call:   permit + "?a=b",
			body:   "{}",
			change: func(r *http.Request) { r.URL.RawQuery = "a=c" },
			status: 403,
			want:   forged,
		},
		"too large": {
			call:   permit,
			body:   strings.Repeat("x", maxCallBytes+1),
			status: 413,
			want:   "expected at most 8388608 bytes",
		},
	}
}

// callsOfUsers returns calls of users' paths, which have the access checks of users, and of paths that do not exist.
func callsOfUsers() map[string]signedCase {
	noHost := func(r *http.Request) { r.Host = "" }
	return map[string]signedCase{
		"a user's path": {
			call:   "PUT /connectors/a/config",
			body:   "{}",
			status: 403,
			want:   "Host is not a name of this worker",
		},
		"a user's read": {
			call:   "GET /connectors",
			status: 403,
			want:   "Host is not a name of this worker",
		},
		"a user's read with a valid Host": {
			call:   "GET /connectors",
			change: func(r *http.Request) { r.Host = "localhost" },
			status: 401,
		},
		"an unknown path": {
			call:   "POST /culvert/internal/other",
			body:   "{}",
			change: noHost,
			status: 401,
		},
		"another method":   {call: "GET /culvert/internal/permit", change: noHost, status: 401},
		"encoded slashes":  {call: "POST /culvert%2Finternal/permit", change: noHost, status: 401},
		"dots in its path": {call: "POST /culvert/internal/x/../permit", change: noHost, status: 401},
	}
}
