package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/secret"
)

// Limits of one body, and of all bodies in memory at a time, including responses of other workers.
const (
	maxBodyBytes     = 1 << 20
	maxBufferedBytes = 32 << 20
	bodyTimeout      = 30 * time.Second
)

// readJSON decodes the body. If that fails, it has answered. As in Kafka Connect, the content type is required and a
// byte order mark is skipped. Culvert's own routes reject unknown members: "letter" instead of "letters" would replay
// all dead letters.
func (req *request) readJSON(into any) bool {
	if req.r.Header.Get("Content-Type") == "" && req.r.ContentLength != 0 {
		req.fail(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return false
	}
	data, ok := req.readBody(maxBodyBytes)
	switch {
	case !ok:
		return false
	case len(data) == 0:
		req.failShape("expected a JSON object, found nothing")
		return false
	case !utf8.Valid(data): // decoding would put another character into its place
		req.failShape("expected a JSON object in UTF-8, found invalid bytes")
		return false
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	err := secret.UnmarshalJSON(data, into)
	if err == nil && req.route.isCulvertRoute() {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		err = secret.JSONError(d.Decode(into))
	}
	if err != nil {
		req.failShape("expected a JSON object: " + err.Error())
	}
	return err == nil
}

// failShape rejects a malformed body: with 500 on Kafka Connect's routes, which tools expect, else with 400.
func (req *request) failShape(why string) {
	status := http.StatusInternalServerError
	if req.route.isCulvertRoute() {
		status = http.StatusBadRequest
	}
	req.fail(status, why)
}

// readBody reads the body. If that fails, it has answered. It must be called once.
func (req *request) readBody(maximum int64) (data []byte, ok bool) {
	data, release, ok := readAll(req.bodies, req.w, req.r, maximum, req.fail)
	req.releases = append(req.releases, release)
	return data, ok
}

// readAll reads the body. The caller calls release once to return its memory budget, also if ok is false. Then answer
// was called.
func readAll(bodies *inbound.Bodies, w http.ResponseWriter, r *http.Request, maximum int64,
	answer func(status int, why string)) (data []byte, release func(), ok bool) {
	data, release, err := bodies.Read(http.MaxBytesReader(w, r.Body, maximum), maxBufferedBytes)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, inbound.ErrFull):
		w.Header().Set("Retry-After", "10")
		inbound.AnswerEarly(w, r, func() { answer(http.StatusServiceUnavailable, err.Error()) })
	case errors.As(err, &tooLarge):
		answer(http.StatusRequestEntityTooLarge, fmt.Sprintf("expected at most %d bytes", maximum))
	case errors.Is(err, os.ErrDeadlineExceeded):
		answer(http.StatusRequestTimeout, fmt.Sprintf("expected the body within %v", bodyTimeout))
	case err != nil:
		answer(http.StatusBadRequest, "the body could not be read: "+err.Error())
	default:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer of a test has none
		return data, release, true
	}
	return nil, release, false
}

// NullValue is Kafka Connect's message for a setting that is null.
const NullValue = "Null value can not be supplied as the configuration value."

// UnmarshalJSON accepts numbers and booleans as text.
func (c *ConfigRequest) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil { // null leaves Settings nil
		return err
	}
	c.Settings = make(map[string]string, len(members))
	c.Null = nil
	for key, value := range members {
		switch value[0] {
		case '{', '[':
			return fmt.Errorf("%s: expected text, a number or a boolean, found an object or a list", key)
		case 'n': // null
			c.Null = append(c.Null, key)
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
			c.Settings[key] = text
		default:
			c.Settings[key] = string(value)
		}
	}
	return nil
}

// requireSettings reports whether there is a configuration. If not, it has answered.
func (req *request) requireSettings(config ConfigRequest) bool {
	if config.Settings == nil {
		req.failShape("expected a configuration as a JSON object, found null or nothing")
	}
	return config.Settings != nil
}

// timeoutContext returns the request's context with the route's timeout. It is canceled after the response.
func (req *request) timeoutContext() context.Context {
	ctx, cancel := context.WithTimeout(req.r.Context(), cmp.Or(req.route.timeout, changeTimeout))
	req.releases = append(req.releases, cancel)
	return ctx
}
