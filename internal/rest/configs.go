package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// creation is the body of POST /connectors.
type creation struct {
	name   string
	config ConfigRequest
}

func (c *creation) UnmarshalJSON(data []byte) error {
	var name plainText
	var state *plainText
	if _, err := decodeExact(data, map[string]any{"name": &name, "config": &c.config,
		"initial_state": &state}); err != nil {
		return err
	}
	target := connect.Running
	if state != nil {
		target = connect.TargetState(strings.ToUpper(string(*state)))
	}
	switch target {
	case connect.Running, connect.Paused, connect.Stopped: // valid
	default:
		return fmt.Errorf("initial_state: expected RUNNING, PAUSED or STOPPED, found %q", *state)
	}
	c.name = string(name)
	c.config.New = &target
	return nil
}

// decodeExact decodes an object whose members must be keys of into, in the same case, as in Kafka Connect. isObject is
// false for null.
func decodeExact(data []byte, into map[string]any) (isObject bool, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return false, err
	}
	for member, value := range members {
		if into[member] == nil {
			names := strings.Join(slices.Sorted(maps.Keys(into)), ", ")
			return false, fmt.Errorf("expected %s, found %q", names, member)
		}
		if err := json.Unmarshal(value, into[member]); err != nil {
			return false, err
		}
	}
	return members != nil, nil
}

// plainText accepts numbers and booleans as text, and null as "".
type plainText string

func (t *plainText) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '{', '[':
		return errors.New("expected text, found an object or a list")
	case 'n': // null
		*t = ""
		return nil
	case '"':
		return json.Unmarshal(data, (*string)(t))
	}
	*t = plainText(data)
	return nil
}

// CheckName returns Kafka Connect's error message for an invalid connector name, "" for a valid one. Spaces at the ends
// are rejected, because the name in a configuration is trimmed.
func CheckName(name string) string {
	if name == "" {
		return "Invalid value  for configuration name: String may not be empty"
	}
	var codes []string
	for _, r := range name {
		if unicode.IsControl(r) { // Unicode's Cc, as Java's isISOControl
			codes = append(codes, fmt.Sprint(int(r)))
		}
	}
	if len(codes) > 0 {
		return "Invalid value " + name +
			" for configuration name: String may not contain control sequences but had the following ASCII chars: " +
			strings.Join(codes, ", ")
	}
	if name != setting.Trim(name) {
		return setting.Invalid("name", name, "expected a name without spaces at its ends")
	}
	return ""
}

func (req *request) write(name string, desired ConfigRequest) {
	result, err := req.worker.Write(req.timeoutContext(), name, desired)
	result.Config = req.visibleConfig(result.Config)
	if req.r.Method == http.MethodPut {
		req.setETag(result.Version)
	}
	if !result.Created || err != nil {
		req.reply(result.Info, err)
		return
	}
	req.w.Header().Set("Location", req.baseURL()+"/connectors/"+url.PathEscape(result.Name))
	req.answer(http.StatusCreated, result.Info)
}

func (req *request) baseURL() string {
	if req.r.TLS != nil {
		return "https://" + req.r.Host
	}
	return "http://" + req.r.Host
}

func (req *request) create() {
	var c creation
	if req.readJSON(&c) && req.requireSettings(c.config) {
		req.logWith("connector", shown.Line(setting.Trim(c.name)))
		req.write(setting.Trim(c.name), c.config)
	}
}

func (req *request) putConfig() {
	if desired, ok := req.readConfig(); ok {
		desired.Precondition = req.precondition()
		req.write(req.name(), desired)
	}
}

func (req *request) patchConfig() {
	desired := ConfigRequest{Patch: true}
	switch {
	case !req.readJSON(&desired): // readJSON has answered
	case desired.Settings == nil:
		req.fail(http.StatusInternalServerError, "expected settings to change as a JSON object, found null")
	default:
		req.write(req.name(), desired)
	}
}

func (req *request) remove() {
	req.finish(http.StatusNoContent, req.worker.Delete(req.timeoutContext(), req.name()))
}
