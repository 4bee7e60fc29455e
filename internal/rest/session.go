package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/guard"
)

// Headers of a signed call. The first two are Kafka Connect's (KIP-507); the third has the key's id, a nonce and the
// SHA-256 of the body in hexadecimal, separated by blanks.
const (
	signatureHeader = "X-Connect-Authorization"
	algorithmHeader = "X-Connect-Request-Signature-Algorithm"
	signedHeader    = "X-Culvert-Signed"
)

const (
	maxCallBytes = 8 << 20     // of a call, such as the settings of all tasks, or a response
	maxNonces    = 1 << 18     // calls that are remembered with one key, which accepts no more
	keyOverlap   = time.Minute // validity of the previous key: workers read a new one at different times
	minKeyBytes  = 16          // the minimum, because a shorter key could be guessed
)

var signatureHashes = map[string]func() hash.Hash{"HmacSHA256": sha256.New, "HmacSHA384": sha512.New384,
	"HmacSHA512": sha512.New}

func algorithm(setting, name string) (func() hash.Hash, error) {
	if signatureHashes[name] == nil {
		return nil, invalid(setting, name, "expected "+strings.Join(slices.Sorted(maps.Keys(signatureHashes)), ", "))
	}
	return signatureHashes[name], nil
}

// NewKey returns a session key for the settings inter.worker.key.generation.algorithm and inter.worker.key.size. Zero
// bits mean the hash size, as in Java's KeyGenerator. Errors name the setting.
func NewKey(generation string, bits int) ([]byte, error) {
	h, err := algorithm("inter.worker.key.generation.algorithm", generation)
	if err != nil {
		return nil, err
	}
	bits = cmp.Or(bits, 8*h().Size())
	if bits < 8*minKeyBytes || bits > 4096 || bits%8 != 0 {
		return nil, invalid("inter.worker.key.size", fmt.Sprint(bits), fmt.Sprintf(
			"expected a multiple of 8 from %d to 4096", 8*minKeyBytes))
	}
	key := make([]byte, bits/8)
	rand.Read(key)
	return key, nil
}

// Call handles a call of another worker. connector is from the path, "" without one. A nil answer is sent as 204.
type Call func(ctx context.Context, connector string, body []byte) (answer any, err error)

// Session signs and verifies the calls between workers of a cluster with a shared key. A signature is an HMAC over the
// URL of the called worker, method, path, query, key id, nonce and hash of the body. Kafka Connect's own signature
// covers only the body, so that a recorded call could be repeated, also for another connector if the body is empty; it
// is not accepted.
//
// Invariants: a call is answered at most once. A nonce is remembered while its key is valid, from [Session.SetKey]
// until keyOverlap after the successor's. No byte of a body is read before its signature is verified. A restarted
// worker has forgotten nonces: earlier calls can be repeated until the key changes.
//
// Methods are safe for concurrent use, except Handle, which must be called before [Server.Serve].
type Session struct {
	algorithm string
	accepted  []string
	calls     map[string]Call

	mu            sync.Mutex
	current       *sessionKey // nil before the first key
	previous      *sessionKey // nil before the second key
	previousUntil time.Time   // the end of the validity of previous
}

// sessionKey is a key with the nonces of the calls signed with it. Its id is derived from the secret.
type sessionKey struct {
	id          string
	secret      []byte
	signedCalls int // calls of this worker
	nonces      map[[16]byte]struct{}
}

// NewSession returns a session without a key. signature (inter.worker.signature.algorithm) signs calls; accepted
// (inter.worker.verification.algorithms) lists algorithms of valid calls. Errors name the setting.
func NewSession(signature string, accepted []string) (*Session, error) {
	for _, name := range accepted {
		if _, err := algorithm("inter.worker.verification.algorithms", name); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(accepted, signature) {
		return nil, invalid("inter.worker.signature.algorithm", signature,
			"expected one of inter.worker.verification.algorithms, because all workers of a cluster share these "+
				"settings")
	}
	return &Session{algorithm: signature, accepted: accepted, calls: map[string]Call{}}, nil
}

// Handle registers a handler for METHOD and path: POST /connectors/{name}/tasks, PUT /connectors/{name}/fence, or one
// below /culvert/internal/. It panics for other paths, which users may call.
func (s *Session) Handle(call string, do Call) {
	_, path, _ := strings.Cut(call, " ")
	if call != "POST /connectors/{name}/tasks" && call != "PUT /connectors/{name}/fence" &&
		!strings.HasPrefix(path, "/culvert/internal/") {
		panic("users may call " + call)
	}
	s.calls[call] = do
}

// SetKey sets the key from the config topic, again or a new one. The previous key stays valid for keyOverlap.
func (s *Session) SetKey(secret []byte) error {
	if len(secret) < minKeyBytes {
		return fmt.Errorf("expected a session key of at least %d bytes, found %d", minKeyBytes, len(secret))
	}
	id := hmac.New(sha256.New, secret)
	id.Write([]byte("id of a session key"))
	key := &sessionKey{id: hex.EncodeToString(id.Sum(nil)[:8]), secret: bytes.Clone(secret),
		nonces: map[[16]byte]struct{}{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current != nil && s.current.id == key.id:
		return nil
	case s.previous != nil && s.previous.id == key.id:
		key = s.previous // which has its nonces
	}
	s.previous = s.current
	s.current = key
	s.previousUntil = time.Now().Add(keyOverlap)
	return nil
}

// ErrNoKey is returned for calls before the cluster's key was read.
var ErrNoKey = errors.New("this worker has not read the cluster's session key yet: try again")

// Sign signs a request, whose URL begins with the one that the other worker advertises. The error is [ErrNoKey].
func (s *Session) Sign(r *http.Request, body []byte) error {
	s.mu.Lock()
	key := s.current
	if key != nil {
		key.signedCalls++
	}
	s.mu.Unlock()
	if key == nil {
		return ErrNoKey
	}
	to, err := workerURL(r.URL.Scheme + "://" + r.URL.Host)
	if err != nil {
		return err
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	signed := fmt.Sprintf("%s %x %x", key.id, nonce, sha256.Sum256(body))
	r.Header.Set(signedHeader, signed)
	r.Header.Set(algorithmHeader, s.algorithm)
	r.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(key.sign(s.algorithm, to, r, signed)))
	return nil
}

// NeedsRotation reports whether half of maxNonces was used for calls from and to this worker. Calls of many workers to
// one go through the leader, so no worker remembers more nonces than the leader counts.
func (s *Session) NeedsRotation() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.signedCalls+len(s.current.nonces) > maxNonces/2
}

// sign returns the signature. Length prefixes keep its parts unambiguous.
func (k *sessionKey) sign(algorithm, to string, r *http.Request, signed string) []byte {
	mac := hmac.New(signatureHashes[algorithm], k.secret)
	for _, part := range []string{algorithm, to, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, signed} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

var (
	errUnsigned     = &Refusal{http.StatusBadRequest, "Internal request missing required signature"}
	errNoSessionKey = &Refusal{http.StatusServiceUnavailable, "This worker is still starting up and has not been " +
		"able to read a session key from the config topic yet"}
	errForged   = &Refusal{http.StatusForbidden, "Internal request contained invalid signature."}
	errRepeated = &Refusal{http.StatusForbidden, "Internal request contained a signature that was used before"}
	errNonces   = &Refusal{http.StatusServiceUnavailable,
		fmt.Sprintf("This worker has answered %d internal requests with the current session key, which is the "+
			"limit: it accepts more after the key is rotated (inter.worker.key.ttl.ms)", maxNonces)}
)

// verify checks the signature of a call to this worker, which advertises ownURL, and returns the signed hash of the
// body. It remembers the nonce of a valid call.
func (s *Session) verify(r *http.Request, ownURL string) (body [sha256.Size]byte, err error) {
	header := func(name string) string {
		if values := r.Header.Values(name); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	encoded := header(signatureHeader)
	algorithm := header(algorithmHeader)
	signed := header(signedHeader)
	if encoded == "" || algorithm == "" {
		return body, errUnsigned
	}
	if !slices.Contains(s.accepted, algorithm) {
		return body, &Refusal{http.StatusBadRequest, fmt.Sprintf("This worker does not support the '%s' key signing "+
			"algorithm used by other workers. This worker is currently configured to use: %v. Check that all workers' "+
			"configuration files permit the same set of signature algorithms, and correct any misconfigured worker "+
			"and restart it.", algorithm, s.accepted)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return body, errNoSessionKey
	}
	id, nonce, body, ok := parseSigned(signed)
	key := s.current
	if s.previous != nil && s.previous.id == id && time.Now().Before(s.previousUntil) {
		key = s.previous
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || !hmac.Equal(signature, key.sign(algorithm, ownURL, r, signed)) {
		return body, errForged
	}
	_, isRepeated := key.nonces[nonce]
	switch {
	case isRepeated:
		return body, errRepeated
	case len(key.nonces) >= maxNonces:
		return body, errNonces
	}
	key.nonces[nonce] = struct{}{}
	return body, nil
}

func parseSigned(signed string) (id string, nonce [16]byte, body [sha256.Size]byte, ok bool) {
	id, remaining, _ := strings.Cut(signed, " ")
	hexNonce, hexBody, _ := strings.Cut(remaining, " ")
	if len(hexNonce) != 2*len(nonce) || len(hexBody) != 2*len(body) {
		return id, nonce, body, false
	}
	_, err := hex.Decode(nonce[:], []byte(hexNonce))
	_, bodyErr := hex.Decode(body[:], []byte(hexBody))
	return id, nonce, body, err == nil && bodyErr == nil
}

// serve answers the request if it is a call of another worker, signed or not, and reports whether it was one. A call is
// authorized only by its signature: rest.read.only, rest.basic.auth.file and the Host check do not apply. s may be nil.
func (s *Session) serve(w http.ResponseWriter, r *http.Request, shared common) bool {
	if s == nil {
		return false
	}
	path, ok := segments(r.URL.EscapedPath())
	if !ok {
		return false
	}
	connector := ""
	if len(path) == 3 && path[0] == "connectors" {
		connector = path[1]
		path[1] = "{name}"
	}
	call := s.calls[r.Method+" /"+strings.Join(path, "/")]
	if call == nil {
		return false
	}
	req := request{w: w, r: r, common: shared}
	req.handleCall(s, connector, call)
	return true
}

func (req *request) handleCall(s *Session, connector string, call Call) {
	defer guard.Recover(nil, "REST, "+req.r.Method+" "+req.r.URL.Path, nil, func(p *guard.PanicError) {
		req.fail(http.StatusInternalServerError, p.Error())
	})
	ownURL, err := workerURL(req.cluster.Membership().URL)
	if err != nil {
		req.failErr(err)
		return
	}
	hash, err := s.verify(req.r, ownURL)
	if err != nil {
		inbound.AnswerEarly(req.w, req.r, func() { req.failErr(err) })
		return
	}
	body, ok := req.readBody(maxCallBytes)
	defer req.release()
	if !ok {
		return
	}
	if sha256.Sum256(body) != hash {
		req.failErr(errForged)
		return
	}
	ctx, cancel := context.WithTimeout(req.r.Context(), changeTimeout)
	defer cancel()
	answer, err := call(ctx, connector, body)
	if err == nil && answer == nil {
		req.finish(http.StatusNoContent, nil)
		return
	}
	req.reply(answer, err)
}

// CallWorker sends a signed call to the worker that advertises the URL to; path is escaped. The error names the worker,
// and is [ErrNoKey] or wraps a [*Refusal]. A failed call may have been executed.
func (s *Server) CallWorker(ctx context.Context, to, method, path string, body []byte) (answer []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s at the worker %s: %w", method, path, to, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if to, err = workerURL(to); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, to+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if err := s.options.Session.Sign(r, body); err != nil {
		return nil, err
	}
	response, err := s.workerClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxCallBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(answer) > maxCallBytes:
		return nil, fmt.Errorf("expected a response of at most %d bytes, found more", maxCallBytes)
	case response.StatusCode >= 300:
		failed := failure{Message: http.StatusText(response.StatusCode)}
		_ = json.Unmarshal(answer, &failed) // an answer that is not a worker's has only a status
		return nil, &Refusal{Status: response.StatusCode, Message: failed.Message}
	}
	return answer, nil
}
