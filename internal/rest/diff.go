package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// DiffRequest is a configuration to compare, as settings or as properties text.
type DiffRequest struct {
	Name   string        `json:"name"`
	Config configuration `json:"config,omitempty"`
	Text   string        `json:"text,omitempty"`
}

// Comparison is the effect of storing a configuration.
type Comparison struct {
	Change
	Version     string       `json:"version,omitempty"` // for If-Match of a PUT; "" for a new connector
	Differences []Difference `json:"differences"`
	// Stored compares with the stored configuration, which would be overwritten; StoredProblem is its error.
	Stored        []Difference `json:"stored,omitempty"`
	StoredProblem string       `json:"stored_problem,omitempty"`
	Feeds         []FeedChange `json:"feeds,omitempty"`    // whose offsets do not fit the new settings (query.change)
	Warnings      []string     `json:"warnings,omitempty"` // they do not prevent storing, such as lost comments
	LockedReason  string       `json:"kept,omitempty"`     // why REST must not change the connector, "" if it may
}

// Difference is a setting that differs. Passwords are masked. Nil means that the setting is absent.
type Difference struct {
	Setting string  `json:"setting"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	Secret  bool    `json:"secret,omitempty"`
}

// Differences compares two configurations. Passwords are masked.
func Differences(before, after map[string]string, isPassword func(key string) bool) []Difference {
	differences := []Difference{}
	for _, name := range config.ChangedKeys(before, after) {
		difference := Difference{Setting: name, Secret: isPassword(name)}
		value := func(settings map[string]string) *string {
			v, ok := settings[name]
			switch {
			case !ok:
				return nil
			case difference.Secret && v != "":
				v = config.Mask
			}
			return &v
		}
		difference.Before = value(before)
		difference.After = value(after)
		differences = append(differences, difference)
	}
	return differences
}

// FeedChange is the effect of a change on a feed whose offset does not fit the new settings.
type FeedChange struct {
	Feed          string   `json:"feed"`
	Effect        string   `json:"effect"`  // fail, reload or keep, as in query.change
	ChangedFields []string `json:"differs"` // the changed parts of the feed's identity in the plugin's words: filter
}

// ConfigRequest is the configuration in a request.
type ConfigRequest struct {
	Settings map[string]string    // nil if there is no configuration
	Null     []string             // settings with the value null: rejected with [NullValue], but a Patch removes them
	Patch    bool                 // changes only the specified settings
	New      *connect.TargetState // the state of a connector that must not exist yet; nil means that it may exist
	// Precondition, if set, reports whether the stored version may be overwritten; "" means that none is stored.
	Precondition func(version string) bool
}

// WriteResult is the connector after a write.
type WriteResult struct {
	connect.Info
	Created bool   // the connector did not exist before
	Version string // the stored version, for the ETag
}

// propertiesType is the media type of properties text in some editors and libraries of Java.
const propertiesType = "text/x-java-properties"

// parseProperties parses properties text. If that fails, it has answered.
func (req *request) parseProperties(text []byte) (desired ConfigRequest, hasComments bool, warnings []string, ok bool) {
	settings, hasComments, problems := config.ReadProperties("the text", text)
	if err := problems.Err(); err != nil {
		req.fail(http.StatusBadRequest, err.Error())
		return desired, false, nil, false
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	return ConfigRequest{Settings: settings}, hasComments, warnings, true
}

// readConfig reads a configuration as JSON or properties text. If that fails, it has answered.
func (req *request) readConfig() (desired ConfigRequest, ok bool) {
	if req.requestType() == propertiesType {
		data, ok := req.readBody(maxBodyBytes)
		if !ok {
			return desired, false
		}
		desired, _, _, ok = req.parseProperties(data)
		return desired, ok
	}
	ok = req.readJSON(&desired) && req.requireSettings(desired)
	return desired, ok
}

// precondition returns the check of If-Match, which a weak tag never matches (RFC 9110, 13.1), and of If-None-Match.
// Nil means that the request has neither.
func (req *request) precondition() func(version string) bool {
	ifMatch := req.r.Header.Values("If-Match")
	ifNoneMatch := req.r.Header.Values("If-None-Match")
	if ifMatch == nil && ifNoneMatch == nil {
		return nil
	}
	matches := func(lists []string, version, ignoredPrefix string) bool {
		return version != "" && slices.ContainsFunc(headerElements(lists), func(tag string) bool {
			return tag == "*" || strings.TrimPrefix(tag, ignoredPrefix) == strconv.Quote(version)
		})
	}
	return func(version string) bool {
		return (ifMatch == nil || matches(ifMatch, version, "")) && !matches(ifNoneMatch, version, "W/")
	}
}

func (req *request) setETag(version string) {
	if version != "" {
		req.w.Header().Set("ETag", strconv.Quote(version))
	}
}

func (req *request) diff() {
	var body struct {
		Name   string
		Config ConfigRequest
		Text   *string
	}
	if !req.readJSON(&body) {
		return
	}
	desired := body.Config
	if (desired.Settings != nil) == (body.Text != nil) {
		req.fail(http.StatusBadRequest, "expected either config, an object of settings, or text, in properties "+
			"format; found both or neither")
		return
	}
	var warnings []string
	hasComments := false
	if body.Text != nil {
		var ok bool
		if desired, hasComments, warnings, ok = req.parseProperties([]byte(*body.Text)); !ok {
			return
		}
	}
	name := cmp.Or(setting.Trim(body.Name), setting.Trim(desired.Settings["name"]))
	ctx := req.timeoutContext()
	if err := req.acquireCheck(ctx); err != nil {
		req.failErr(err)
		return
	}
	comparison, err := req.worker.Compare(ctx, name, desired, req.hidesSecrets())
	if hasComments && comparison.LockedReason == "" {
		warnings = append(warnings, "comments and the order of lines are lost: REST stores only settings")
	}
	comparison.Problems = req.redactAll(comparison.Problems)
	comparison.Warnings = req.redactAll(slices.Concat(warnings, comparison.Warnings))
	comparison.LockedReason = req.worker.Redact(comparison.LockedReason)
	comparison.StoredProblem = req.worker.Redact(comparison.StoredProblem)
	req.reply(comparison, err)
}
