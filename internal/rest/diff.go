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

// DiffRequest is a configuration that is not stored, as settings or as the text of a file of properties.
type DiffRequest struct {
	Name   string        `json:"name"`
	Config configuration `json:"config,omitempty"`
	Text   string        `json:"text,omitempty"`
}

// Comparison is what it would mean to store a configuration.
type Comparison struct {
	// Change is what would become of the connector that runs: nothing, in place, restart, create or refuse.
	Change
	// Version is what If-Match of PUT /connectors/{name}/config takes, so that nothing is stored over a change that
	// came meanwhile; "" for a connector that is not there.
	Version string `json:"version,omitempty"`
	// Differences are those between what runs and what was sent, by setting.
	Differences []Difference `json:"differences"`
	// Stored are those between what runs and what is stored, where that is not what runs: they would be overwritten.
	// StoredProblem says why what is stored was not taken.
	Stored        []Difference `json:"stored,omitempty"`
	StoredProblem string       `json:"stored_problem,omitempty"`
	// Feeds are those whose offsets do not belong to the new settings (query.change), with what would become of them.
	Feeds []FeedChange `json:"feeds,omitempty"`
	// Warnings are what is worth knowing and keeps nothing from being stored: comments that would be lost, feeds of
	// which nothing is known.
	Warnings []string `json:"warnings,omitempty"`
	// LockedReason names the file that the connector has, in which it is changed; "" if REST changes it.
	LockedReason string `json:"kept,omitempty"`
}

// Difference is a setting that differs. Values of passwords are masked; "" and nil are different things.
type Difference struct {
	Setting string  `json:"setting"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	// Secret means that the values are passwords.
	Secret bool `json:"secret,omitempty"`
}

// Differences returns the differences between two configurations, by setting. Passwords are masked.
func Differences(before, after map[string]string, password func(key string) bool) []Difference {
	all := []Difference{}
	for _, name := range config.ChangedKeys(before, after) {
		difference := Difference{Setting: name, Secret: password(name)}
		value := func(settings map[string]string) *string {
			text, exists := settings[name]
			switch {
			case !exists:
				return nil
			case difference.Secret && text != "":
				text = config.Mask
			}
			return &text
		}
		difference.Before, difference.After = value(before), value(after)
		all = append(all, difference)
	}
	return all
}

// FeedChange is what would become of what a feed has read.
type FeedChange struct {
	Feed string `json:"feed"`
	// Effect is fail, reload or keep, as query.change says.
	Effect string `json:"effect"`
	// ChangedFields names what its offset belongs to and it would not any more, in the words of the plugin, such as
	// filter.
	ChangedFields []string `json:"differs"`
}

// ConfigRequest is a configuration that a request brings.
type ConfigRequest struct {
	// Settings is nil if there is no configuration.
	Settings map[string]string
	// Null are settings with the value null. Each is rejected with [NullValue] in addition to other problems. A Patch
	// removes them.
	Null []string
	// Patch keeps the other settings of the connector.
	Patch bool
	// New is the target state of a connector that must not exist yet. Nil means that it may exist.
	New *connect.TargetState
	// Precondition, if set, decides by the stored version, "" for none, whether it may be overwritten.
	Precondition func(version string) bool
}

// WriteResult is a connector that was written.
type WriteResult struct {
	connect.Info
	// Created means that the connector did not exist. Version is the stored version.
	Created bool
	Version string
}

// propertiesType is the media type of a connector's text, as some editors and libraries of Java name it.
const propertiesType = "text/x-java-properties"

// properties parses properties text. If that fails, it has answered. commented reports whether the text has comments.
func (req *request) properties(sent []byte) (desired ConfigRequest, commented bool, warnings []string, ok bool) {
	settings, commented, problems := config.ReadProperties("the text", sent)
	if err := problems.Err(); err != nil {
		req.fail(http.StatusBadRequest, err.Error())
		return desired, false, nil, false
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	return ConfigRequest{Settings: settings}, commented, warnings, true
}

// readConfig reads a configuration in either form. If that fails, it has answered.
func (req *request) readConfig() (desired ConfigRequest, ok bool) {
	if req.requestType() == propertiesType {
		data, ok := req.readBody(maxBodyBytes)
		if !ok {
			return desired, false
		}
		desired, _, _, ok = req.properties(data)
		return desired, ok
	}
	ok = req.readJSON(&desired) && req.requireSettings(desired)
	return desired, ok
}

// precondition returns the check of If-Match and If-None-Match against the stored version (RFC 9110, 13.1), nil without
// either. A weak tag never matches If-Match.
func (req *request) precondition() func(version string) bool {
	match, none := req.r.Header.Values("If-Match"), req.r.Header.Values("If-None-Match")
	if match == nil && none == nil {
		return nil
	}
	names := func(lists []string, version, passed string) bool {
		return version != "" && slices.ContainsFunc(headerElements(lists), func(tag string) bool {
			return tag == "*" || strings.TrimPrefix(tag, passed) == strconv.Quote(version)
		})
	}
	return func(version string) bool {
		return (match == nil || names(match, version, "")) && !names(none, version, "W/")
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
		req.fail(http.StatusBadRequest, "expected either config, an object of settings, or text, as properties; found "+
			"both, or neither")
		return
	}
	var warnings []string
	commented := false
	if body.Text != nil {
		var ok bool
		if desired, commented, warnings, ok = req.properties([]byte(*body.Text)); !ok {
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
	if commented && comparison.LockedReason == "" {
		warnings = append(warnings, "comments and the order of lines are lost: what REST keeps is settings alone")
	}
	comparison.Problems, comparison.Warnings = req.redactAll(comparison.Problems),
		req.redactAll(slices.Concat(warnings, comparison.Warnings))
	comparison.LockedReason, comparison.StoredProblem = req.worker.Redact(comparison.LockedReason),
		req.worker.Redact(comparison.StoredProblem)
	req.reply(comparison, err)
}
