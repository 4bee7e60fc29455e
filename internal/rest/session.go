package rest

import (
	"bytes"
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

// Headers of a signed call: the first two are Kafka Connect's (KIP-507), the third one has, with blanks between them,
// the id of the key, a nonce and the SHA-256 of the body, in hexadecimal.
const (
	signatureHeader = "X-Connect-Authorization"
	algorithmHeader = "X-Connect-Request-Signature-Algorithm"
	signedHeader    = "X-Culvert-Signed"
)

const (
	// maxCallBytes is how many bytes a call of another worker may have, and an answer to one: settings of all tasks of
	// a connector go in one call.
	maxCallBytes = 8 << 20
	// maxNonces is how many calls under one key are remembered. There is no room for more until the key changes.
	maxNonces = 1 << 18
	// keyOverlap is for how long the key before the present one is taken: workers read a new one at different times.
	keyOverlap = time.Minute
	// minKeyBytes is what a key must have at least: a shorter one could be guessed.
	minKeyBytes = 16
)

var signatureHashes = map[string]func() hash.Hash{"HmacSHA256": sha256.New, "HmacSHA384": sha512.New384,
	"HmacSHA512": sha512.New}

func algorithm(setting, name string) (func() hash.Hash, error) {
	if signatureHashes[name] == nil {
		return nil, invalid(setting, name, "expected "+strings.Join(slices.Sorted(maps.Keys(signatureHashes)), ", "))
	}
	return signatureHashes[name], nil
}

// NewKey makes a session key, by the settings inter.worker.key.generation.algorithm and inter.worker.key.size, the
// latter in bits; 0: as many as a hash of the algorithm has, as Java's KeyGenerator. Errors name the setting.
func NewKey(generation string, bits int) ([]byte, error) {
	h, err := algorithm("inter.worker.key.generation.algorithm", generation)
	if err != nil {
		return nil, err
	}
	if bits == 0 {
		bits = 8 * h().Size()
	}
	if bits < 8*minKeyBytes || bits > 4096 || bits%8 != 0 {
		return nil, invalid("inter.worker.key.size", fmt.Sprint(bits), fmt.Sprintf(
			"expected a multiple of 8 from %d to 4096", 8*minKeyBytes))
	}
	key := make([]byte, bits/8)
	rand.Read(key)
	return key, nil
}

// Call answers another worker of the cluster. connector is the one that the path names, "" where it names none. The
// answer goes out as JSON, nil as 204; an error as [Worker]'s.
type Call func(ctx context.Context, connector string, body []byte) (answer any, err error)

// Session is what the workers of a cluster ask of each other, signed with a key that they share. A signature is a
// HMAC over the URL of the worker that is asked, method, path, query, the id of the key, a nonce, and the hash of the
// body. Kafka Connect's own is over the body alone, so that whoever saw one call could send it again, and one of
// an empty body for any connector: it is not taken.
//
// Invariants: a call is answered at most once. A nonce is remembered for as long as its key is taken, and a key is
// taken from [Session.SetKey] on until keyOverlap after that of its successor. No byte of a body is read before its
// signature has proved right. A worker that starts again has forgotten nonces: what was sent to it before can be
// repeated until the key changes.
//
// Methods may be called by several goroutines, Handle only before [Server.Serve].
type Session struct {
	algorithm string
	accepted  []string
	calls     map[string]Call

	mu                sync.Mutex
	current, previous *sessionKey // nil for none
	previousUntil     time.Time   // the end of before
}

// sessionKey is a key and the nonces of the calls signed with it. Its ID is derived from the secret.
type sessionKey struct {
	id          string
	secret      []byte
	signedCalls int // calls of this worker
	nonces      map[[16]byte]struct{}
}

// NewSession makes one without a key, by the settings inter.worker.signature.algorithm, which calls are signed with,
// and inter.worker.verification.algorithms, which are taken. Errors name the setting.
func NewSession(signature string, accepted []string) (*Session, error) {
	for _, name := range accepted {
		if _, err := algorithm("inter.worker.verification.algorithms", name); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(accepted, signature) {
		return nil, invalid("inter.worker.signature.algorithm", signature,
			"expected one of inter.worker.verification.algorithms, since workers of a cluster are alike")
	}
	return &Session{algorithm: signature, accepted: accepted, calls: map[string]Call{}}, nil
}

// Handle has calls answered: METHOD and path, one of Kafka Connect's POST /connectors/{name}/tasks and
// PUT /connectors/{name}/fence, or one below /culvert/internal/. Another one is a mistake, and panics.
func (s *Session) Handle(call string, do Call) {
	_, path, _ := strings.Cut(call, " ")
	if call != "POST /connectors/{name}/tasks" && call != "PUT /connectors/{name}/fence" &&
		!strings.HasPrefix(path, "/culvert/internal/") {
		panic("users may call " + call)
	}
	s.calls[call] = do
}

// SetKey takes the key of the cluster as its config topic has it, again each time that it is read. The key before it is
// taken for a while longer.
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
	case s.previous != nil && s.previous.id == key.id: // and with it its nonces
		key = s.previous
	}
	s.current, s.previous, s.previousUntil = key, s.current, time.Now().Add(keyOverlap)
	return nil
}

// ErrNoKey is the error of a call that cannot be signed before the cluster's key was read.
var ErrNoKey = errors.New("this worker has not read the cluster's session key yet: try again")

// Sign puts a signature to a request, whose URL begins with what the other worker advertises. The error is [ErrNoKey].
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

// NeedsRotation reports whether so many calls were signed here, or answered, under the present key that its successor
// is due: what many workers ask of one goes through the leader, so that none remembers more nonces than the leader
// counts.
func (s *Session) NeedsRotation() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.signedCalls+len(s.current.nonces) > maxNonces/2
}

// sign returns the signature of a request to a worker. Each part has its length as prefix, so that none can be read as
// another.
func (k *sessionKey) sign(algorithm, to string, r *http.Request, signed string) []byte {
	mac := hmac.New(signatureHashes[algorithm], k.secret)
	for _, part := range []string{algorithm, to, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, signed} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// Answers to calls that are not signed as they should be; texts are Kafka Connect's (DistributedHerder) where it has
// them.
var (
	errUnsigned     = &Refusal{http.StatusBadRequest, "Internal request missing required signature"}
	errNoSessionKey = &Refusal{http.StatusServiceUnavailable,
		"This worker is still starting up and has not been able to " +
			"read a session key from the config topic yet"}
	errForged   = &Refusal{http.StatusForbidden, "Internal request contained invalid signature."}
	errRepeated = &Refusal{http.StatusForbidden, "Internal request contained a signature that was used before"}
	errNonces   = &Refusal{http.StatusServiceUnavailable, fmt.Sprintf("This worker has answered %d internal requests "+
		"under one session key, and remembers no more: it answers others when the key has changed "+
		"(inter.worker.key.ttl.ms)", maxNonces)}
)

// verify checks the signature of a request to this worker, which advertises own, and remembers its nonce. The body is
// to have the hash.
func (s *Session) verify(r *http.Request, own string) (body [sha256.Size]byte, err error) {
	one := func(name string) string {
		if values := r.Header.Values(name); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	encoded, algorithm, signed := one(signatureHeader), one(algorithmHeader), one(signedHeader)
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
	if !ok || err != nil || !hmac.Equal(signature, key.sign(algorithm, own, r, signed)) {
		return body, errForged
	}
	_, seen := key.nonces[nonce]
	switch {
	case seen:
		return body, errRepeated
	case len(key.nonces) >= maxNonces:
		return body, errNonces
	}
	key.nonces[nonce] = struct{}{}
	return body, nil
}

func parseSigned(signed string) (id string, nonce [16]byte, body [sha256.Size]byte, ok bool) {
	id, rest, _ := strings.Cut(signed, " ")
	first, second, _ := strings.Cut(rest, " ")
	if len(first) != 2*len(nonce) || len(second) != 2*len(body) {
		return id, nonce, body, false
	}
	_, err := hex.Decode(nonce[:], []byte(first))
	_, wrong := hex.Decode(body[:], []byte(second))
	return id, nonce, body, err == nil && wrong == nil
}

// serve answers a call of another worker, and tells whether the request was one, signed or not. It stands before all
// that guards what users ask: by its signature alone a call passes rest.read.only, rest.basic.auth.file and the check
// of Host. What users may ask is not in calls, so that a header has no effect on it.
func (s *Session) serve(w http.ResponseWriter, r *http.Request, all common) bool {
	if s == nil || all.cluster == nil {
		return false
	}
	path, ok := segments(r.URL.EscapedPath())
	if !ok {
		return false
	}
	connector := ""
	if len(path) == 3 && path[0] == "connectors" {
		connector, path[1] = path[1], "{name}"
	}
	call := s.calls[r.Method+" /"+strings.Join(path, "/")]
	if call == nil {
		return false
	}
	req := request{w: w, r: r, common: all}
	req.handleCall(s, connector, call)
	return true
}

func (req *request) handleCall(s *Session, connector string, call Call) {
	defer guard.Recover(nil, "REST, "+req.r.Method+" "+req.r.URL.Path, nil, func(p *guard.Panic) {
		req.fail(http.StatusInternalServerError, p.Error())
	})
	own, err := workerURL(req.cluster.Membership().URL)
	if err != nil {
		req.failErr(err)
		return
	}
	hash, err := s.verify(req.r, own)
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

// CallWorker has another worker of the cluster answer a call, signed: to is what it advertises, path begins with /, its
// names escaped. The error is [ErrNoKey], or wraps a [*Refusal] with the other worker's status and text; each names
// that worker. A call that failed may have been answered all the same, and is signed again where it is tried again.
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
		return nil, fmt.Errorf("expected at most %d bytes in answer, found more", maxCallBytes)
	case response.StatusCode >= 300:
		failed := failure{Message: http.StatusText(response.StatusCode)}
		_ = json.Unmarshal(answer, &failed) // what is no answer of a worker has its status alone
		return nil, &Refusal{response.StatusCode, failed.Message}
	}
	return answer, nil
}
