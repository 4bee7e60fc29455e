package config

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Checker finds the problems of connectors' settings: unknown keys, missing or invalid values, and rules of Kafka
// Connect between settings. It calls no plugin.
type Checker struct {
	Worker          *Worker
	Embedded        bool            // true if the broker is the built-in one
	OtherComponents []*Declarations // OtherComponents are the declarations by which a setting may be a secret, too.
}

// CheckComponent checks settings by declarations. Unknown keys under the component's own prefixes are errors unless
// unknown.settings=warn, because a misspelled filter would export the whole table (RATIONALE.md P6); others are
// warnings. If the context ends, that is a problem, too.
func (ch Checker) CheckComponent(ctx context.Context, connector *Connector, component wit.Component) Problems {
	pluginSettings := DeclareComponent(component)
	connectSettings := Declare(CommonSettings(component.Kind)...)
	suggester := sync.OnceValue(func() *setting.Suggester {
		both := Declare(slices.Concat(pluginSettings.Keys(), connectSettings.Keys())...)
		both.Prefixes = pluginSettings.Prefixes
		return &setting.Suggester{Table: both, Number: pluginSettings.NumberIn(keys(connector.Entries)),
			Budget: maxGuesses}
	})
	nested := slices.Concat(nestedPrefixes, connector.stagePrefixes())
	var problems Problems
	for _, entry := range connector.Entries {
		if ctx.Err() != nil {
			return append(problems, connector.checkCanceled(ctx))
		}
		problems = append(problems,
			ch.checkSetting(connector, entry, nested, pluginSettings, connectSettings, suggester)...)
	}
	for _, rule := range []func() Problems{
		func() Problems { return missingSettings(ctx, connector, connectSettings) },
		func() Problems { return missingSettings(ctx, connector, pluginSettings) },
		func() Problems { return checkAddress(connector, pluginSettings) },
		func() Problems { return ignoredDefaults(ctx, connector, pluginSettings) },
		func() Problems { return checkCommonRules(connector, component.Kind) },
	} {
		if ctx.Err() != nil {
			return append(problems, connector.checkCanceled(ctx))
		}
		problems = append(problems, rule()...)
	}
	return problems
}

func (c *Connector) checkCanceled(ctx context.Context) Problem {
	return Problem{File: c.File, Line: 1, Text: fmt.Sprintf("the check was canceled: %v", context.Cause(ctx))}
}

// checkSetting checks one setting. nested are the prefixes of settings that the component does not read itself.
func (ch Checker) checkSetting(connector *Connector, entry Entry, nested []string,
	pluginSettings, connectSettings *Declarations, suggester func() *setting.Suggester) Problems {
	if message := exactlyOnceUnavailable(entry, ch.Worker, ch.Embedded); message != "" {
		return Problems{entry.codedProblem(setting.CodeInvalid, message)}
	}
	spec, ok := pluginSettings.Find(entry.Key)
	if !ok {
		spec, ok = connectSettings.Find(entry.Key)
	}
	switch {
	case ok:
		return ch.checkValue(entry, &spec, pluginSettings)
	case pluginSettings.Prefix(entry.Key) == "" && hasPrefix(entry.Key, nested):
		return checkClientSetting(entry, ch.providers())
	}
	return Problems{ch.unknownProblem(connector, entry, pluginSettings, suggester())}
}

func keys(entries []Entry) []string {
	keys := make([]string, len(entries))
	for i, entry := range entries {
		keys[i] = entry.Key
	}
	return keys
}

func (ch Checker) unknownPrefixedProblem(connector *Connector, p Problem) Problem {
	value := connector.Text("unknown.settings")
	if value == "" && ch.Worker != nil {
		value = ch.Worker.Text("unknown.settings")
	}
	if p.Warning = strings.EqualFold(value, "warn"); !p.Warning {
		p.Text += "; with unknown.settings=warn this is a warning"
	}
	return p
}

func (ch Checker) providers() *Providers {
	if ch.Worker == nil {
		return nil
	}
	return ch.Worker.Providers
}

// unknownProblem returns the problem of an undeclared key: an error if the key has the component's prefix, or a similar
// known key has it.
func (ch Checker) unknownProblem(connector *Connector, entry Entry, pluginSettings *Declarations,
	suggester *setting.Suggester) Problem {
	near := suggester.Nearest(entry.Key)
	if pluginSettings.Prefix(entry.Key) != "" || (pluginSettings.Prefix(near) != "" && !isForeign(entry.Key)) {
		return ch.unknownPrefixedProblem(connector, entry.codedProblem(setting.CodeUnknown, setting.Unknown(near)))
	}
	for _, list := range []string{"transforms", "predicates"} {
		if suffix, ok := strings.CutPrefix(entry.Key, list+"."); ok {
			alias, _, _ := strings.Cut(suffix, ".")
			return entry.warning("has no effect: %s does not name %s", list, alias)
		}
	}
	if _, ok := common.Find(entry.Key); ok && hasSpec(sinkSettings, entry.Key) {
		return entry.warning("has no effect: a setting of sinks")
	} else if ok {
		return entry.warning("has no effect: a setting of sources")
	}
	if hasSpec(workerSettings, entry.Key) {
		return entry.warning("has no effect: a setting of the worker, which belongs in the worker's file")
	}
	p := entry.codedProblem(setting.CodeUnknown, setting.Unknown(near))
	p.Warning = true
	return p
}

func isForeign(key string) bool {
	_, ok := common.Find(key)
	return ok || hasSpec(workerSettings, key) || hasPrefix(key, []string{"transforms.", "predicates."})
}

func hasSpec(specs []wit.ConfigKey, key string) bool {
	return slices.ContainsFunc(specs, func(s wit.ConfigKey) bool { return s.Name == key })
}

func checkClientSetting(entry Entry, providers *Providers) Problems {
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		name, ok := strings.CutPrefix(entry.Key, prefix)
		if i := slices.IndexFunc(workerSettings, func(s wit.ConfigKey) bool { return s.Name == name }); ok && i >= 0 {
			return checkLiteral(entry, &workerSettings[i], providers)
		}
	}
	if providers.HasUnknownProvider(entry) && IsPassword(entry.Key) && hasPrefix(entry.Key,
		[]string{"key.converter.", "value.converter."}) {
		return Problems{providers.UnknownProvider(entry, true)}
	}
	return nil
}

func (ch Checker) checkValue(entry Entry, spec *wit.ConfigKey, pluginSettings *Declarations) Problems {
	if entry.unresolved() {
		return nil
	}
	isSecret := isSecret(entry.Key, append([]*Declarations{pluginSettings}, ch.OtherComponents...)...)
	if name := spec.Role(); isSecret && name != "" {
		if r, ok := role.Find(name); ok && r.Kind != role.Secret && r.Kind != role.StringOrSecret {
			return Problems{entry.problem(
				"is a secret, but the plugin declares it as %s, whose values are shown: it is not used", name)}
		}
	}
	named := *spec
	named.Name = entry.Key // which may be an alias
	if message := CheckValue(&named, entry.Value.Reveal(), !entry.Value.IsSecret() && !isSecret); message != "" {
		return invalidValue(entry, message, ch.providers())
	}
	return checkLiteral(entry, spec, ch.providers())
}

// Mask replaces the value of a password wherever settings are shown.
const Mask = setting.Hidden

// variable matches a value that looks like a variable of a shell or of Windows.
var variable = regexp.MustCompile(
	`^(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}]|%[A-Za-z_][A-Za-z0-9_]*%)$`)

// quotedVariable matches a value with such a variable after a =, as in a login module's line.
var quotedVariable = regexp.MustCompile(
	`=\s*["']?(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}])["']?\s*(;|\s|$)`)

func checkLiteral(entry Entry, spec *wit.ConfigKey, providers *Providers) Problems {
	value := setting.Trim(entry.Raw)
	password := spec.Kind == wit.KindPassword
	switch {
	case password && value == Mask:
		return Problems{entry.problem("expected a password, found the mask that is shown instead of one: write the " +
			"password, or a reference to it such as ${file:PATH:KEY}")}
	case password && value == "":
		return Problems{entry.warning("is empty: set a password or remove the line")}
	case providers.HasUnknownProvider(entry):
		return Problems{providers.UnknownProvider(entry, isTransmitted(spec))}
	case password && !entry.Value.IsSecret() && (variable.MatchString(value) || quotedVariable.MatchString(value)):
		return Problems{entry.warning("looks like a variable, but the text is used as it is: write ${env:NAME} for " +
			"a variable of the environment")}
	}
	return nil
}

func isTransmitted(spec *wit.ConfigKey) bool {
	return spec.Kind == wit.KindPassword || hasPrefix(spec.Role(), []string{role.HTTP, role.TLS, role.Listener})
}

// CheckSent returns the problem of a setting that would be sent with an unresolved reference. Nil means no problem.
func (p *Providers) CheckSent(connector *Connector, declarations *Declarations) error {
	for _, entry := range connector.Entries {
		if spec, ok := declarations.Find(entry.Key); ok && isTransmitted(&spec) && p.HasUnknownProvider(entry) {
			return p.UnknownProvider(entry, true)
		}
	}
	return nil
}

// HasUnknownProvider reports whether a value contains what looks like a reference to an unknown config provider.
func (p *Providers) HasUnknownProvider(entry Entry) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(entry.Raw, -1), func(parts []string) bool {
		return p == nil || p.byName[parts[1]].kind == nil
	})
}

// UnknownProvider is the problem of a reference to an unknown config provider. If it would be sent, it is an error;
// otherwise the text is used as it is, as in Kafka Connect.
func (p *Providers) UnknownProvider(entry Entry, sent bool) Problem {
	const text = "looks like a reference to an unknown config provider: it is %s. Known providers: %s; the " +
		"worker's config.providers declares others"
	if sent {
		return entry.problem(text, "not sent", p.names())
	}
	return entry.warning(text, "used as it is", p.names())
}

func invalidValue(entry Entry, text string, providers *Providers) Problems {
	problems := Problems{entry.codedProblem(setting.CodeInvalid, text)}
	if providers.HasUnknownProvider(entry) {
		problems = append(problems, providers.UnknownProvider(entry, false))
	}
	return problems
}

// nestedPrefixes are the prefixes of settings that converters, topics and Kafka clients read. [Connector.stagePrefixes]
// returns the prefixes of transformations and predicates.
var nestedPrefixes = []string{"key.converter.", "value.converter.", "header.converter.", "topic.creation.",
	"producer.override.", "consumer.override.", "admin.override."}

func missingSettings(ctx context.Context, connector *Connector, declarations *Declarations) Problems {
	var problems Problems
	for _, spec := range declarations.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) && !hasDefault(&spec) && !strings.Contains(spec.Name, "{") &&
			!connector.has(&spec) {
			problems = append(problems, connector.missingProblem(spec.Name))
		}
	}
	return problems
}

// checkAddress requires address and port unless a BTP destination has both. The plugin's defaults do not count.
func checkAddress(connector *Connector, declarations *Declarations) Problems {
	roles := NewRoles(declarations, connector)
	if roles.Has(role.Destination) {
		return nil
	}
	var problems Problems
	for _, name := range []string{role.Address, role.Port} {
		value, ok := roles.byRole[name]
		if !ok || value.has || setting.IsRequired(&value.spec) {
			continue
		}
		switch r, _ := role.Find(name); {
		case value.spec.DefaultValue == nil && roles.Declared(role.Destination):
			problems = append(problems, connector.missingProblem(value.spec.Name))
		case value.spec.DefaultValue != nil && !r.AcceptsDefault(*value.spec.DefaultValue):
			p := connector.missingProblem(value.spec.Name)
			p.Text = fmt.Sprintf("%s: the plugin's default %q is ignored, because only the user may decide where "+
				"requests go", strings.TrimSuffix(p.Text, "."), *value.spec.DefaultValue)
			problems = append(problems, p)
		}
	}
	return problems
}

func hasDefault(spec *wit.ConfigKey) bool {
	if spec.DefaultValue == nil {
		return false
	}
	r, ok := role.Find(spec.Role())
	return !ok || r.AcceptsDefault(*spec.DefaultValue)
}

func ignoredDefaults(ctx context.Context, connector *Connector, declarations *Declarations) Problems {
	var problems Problems
	for _, spec := range declarations.Keys() {
		if ctx.Err() != nil {
			break
		}
		if spec.DefaultValue == nil || hasDefault(&spec) || strings.Contains(spec.Name, "{") || connector.has(&spec) ||
			setting.IsRequired(&spec) || spec.Role() == role.Address || spec.Role() == role.Port {
			continue
		}
		p := Entry{Key: spec.Name, File: connector.File, Line: 1}.warning("not set; the plugin's default (not shown) "+
			"is ignored, because only the user may set %s", spec.Role())
		if spec.Kind != wit.KindPassword {
			p.Text = strings.Replace(p.Text, "(not shown)", strconv.Quote(*spec.DefaultValue), 1)
		}
		problems = append(problems, p)
	}
	return problems
}

func (c *Connector) has(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Names(), func(name string) bool {
		_, ok := c.Get(name)
		return ok
	})
}

func (c *Connector) missingProblem(name string) Problem {
	return Problem{File: c.File, Line: 1, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

func checkCommonRules(connector *Connector, kind wit.ComponentKind) Problems {
	var problems Problems
	if e, ok := connector.Entry("name"); ok {
		name := setting.Trim(e.Value.Reveal())
		if name == "" {
			problems = append(problems, e.problem(
				"expected a name, found nothing; without this line the file's name is used"))
		} else if strings.ContainsFunc(name, unicode.IsControl) {
			problems = append(problems, e.problem("expected a name without control characters, found %q", name))
		}
	}
	if kind != wit.ComponentSink {
		return append(problems, connector.checkTopicCreation()...)
	}
	if tasksMax, isSet := connector.Entry("tasks.max"); isSet {
		if n, ok := setting.ParseInt(wit.KindInt, tasksMax.Value.Reveal()); ok && n > MaxSinkTasks {
			problems = append(problems, tasksMax.codedProblem(setting.CodeInvalid, setting.Invalid(tasksMax.Key,
				tasksMax.Value.String(), fmt.Sprintf("Value must be no more than %d", MaxSinkTasks))))
		}
	}
	topics := List(connector.Text("topics"))
	regex := connector.Text("topics.regex")
	entry, _ := connector.Entry("topics.regex")
	switch {
	case len(topics) > 0 && regex != "":
		list, _ := connector.Entry("topics")
		for _, e := range []Entry{list, entry} { // Kafka Connect reports both
			problems = append(problems, e.problem("topics and topics.regex are mutually exclusive "+
				"options, but both are set."))
		}
	case regex != "":
		if _, err := pattern.Compile(regex); err != nil {
			problems = append(problems, entry.codedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, regex,
				"Invalid regex: "+err.Error())))
		}
	}
	if dead := connector.Text("errors.deadletterqueue.topic.name"); dead != "" && slices.Contains(topics, dead) {
		e, _ := connector.Entry("errors.deadletterqueue.topic.name")
		problems = append(problems, e.problem("expected a topic that is not among topics, found %q", dead))
	} else if expression, err := pattern.Compile(regex); dead != "" && regex != "" && err == nil {
		e, _ := connector.Entry("errors.deadletterqueue.topic.name")
		if isMatch, err := MatchesTopic(expression, dead); err != nil {
			problems = append(problems, e.problem("topics.regex: %v", err))
		} else if isMatch {
			problems = append(problems, e.problem(
				"expected a topic that topics.regex does not match, because dead letters would be read as records, "+
					"found %q", dead))
		}
	}
	return problems
}

const maxTopicExpressions = 10_000

func (c *Connector) checkTopicCreation() (problems Problems) {
	groups, _ := c.Entry("topic.creation.groups")
	problems = c.duplicateAliases(groups)
	count := 0
	for _, entry := range c.Entries {
		if !strings.HasPrefix(entry.Key, "topic.creation.") || (!strings.HasSuffix(entry.Key, ".include") &&
			!strings.HasSuffix(entry.Key, ".exclude")) {
			continue
		}
		for _, expression := range List(entry.Value.Reveal()) {
			count++
			if count > maxTopicExpressions {
				return append(problems, entry.problem("expected at most %d expressions of topic.creation.* together, "+
					"found more", maxTopicExpressions))
			}
			if _, err := pattern.Compile(expression); err != nil {
				message := setting.Invalid(entry.Key, expression, "Invalid regex: "+err.Error())
				problems = append(problems, entry.codedProblem(setting.CodeInvalid, message))
			}
		}
	}
	return problems
}

const regexTimeout = time.Second

// MatchesTopic reports whether an expression matches a whole topic name. It fails after one second.
func MatchesTopic(p pattern.Pattern, topic string) (bool, error) {
	ok, err := p.WithTimeout(regexTimeout).Matches(topic)
	if err != nil {
		return false, fmt.Errorf("the regular expression takes more than %s for the topic %q", regexTimeout, topic)
	}
	return ok, nil
}

// CheckStage checks a transformation or predicate. Unknown keys are warnings unless they look like known ones.
func (ch Checker) CheckStage(ctx context.Context, connector *Connector, prefix string,
	component wit.Component) Problems {
	stageConfig := connector.StageConfig(prefix)
	pluginSettings := DeclareComponent(component)
	accepted := DeclareComponent(component)
	for name := range stageSettings {
		accepted.Declare(wit.ConfigKey{Name: name})
	}
	suggester := setting.Suggester{Table: accepted, Budget: maxGuesses}
	var problems Problems
	for _, entry := range stageConfig.Entries {
		if ctx.Err() != nil {
			break
		}
		spec, ok := pluginSettings.Find(entry.Key)
		if ok {
			// Kafka allows empty values of required settings here, for example ExtractField's field.
			spec.Rules = slices.DeleteFunc(slices.Clone(spec.Rules), func(r wit.Rule) bool { return r.Required != nil })
			valueProblems := ch.checkValue(entry, &spec, pluginSettings)
			if spec.Kind != wit.KindPassword && valueProblems.Err() == nil {
				valueProblems = nil // a value that a transform inserts may look like a reference
			}
			problems = append(problems, valueProblems...)
			continue
		}
		problem := entry.codedProblem(setting.CodeUnknown, setting.Unknown(suggester.Nearest(entry.Key)))
		problem.Warning = true
		if pluginSettings.Prefix(entry.Key) != "" {
			problem = ch.unknownPrefixedProblem(connector, problem)
		}
		if newName := renamedSetting(component.Name, entry.Key); newName != "" {
			problem.Text = "unknown setting; Kafka 4.0 removed this name"
			problem.Warning = true
			switch _, hasBoth := stageConfig.Entry(newName); {
			case hasBoth:
				problem.Text += "; " + newName + ", which is also set, is used"
			case len(List(entry.Value.Reveal())) == 0:
				problem.Text += "; it names no field"
			default:
				problem.Text += ", it is " + newName + " since 2.6, and without it all fields remain"
				problem = ch.unknownPrefixedProblem(connector, problem)
			}
		}
		problems = append(problems, problem)
	}
	typeEntry, _ := connector.Entry(prefix + "type")
	for _, problem := range missingSettings(ctx, stageConfig, pluginSettings) {
		problem.File = typeEntry.File
		problem.Line = typeEntry.Line
		problems = append(problems, problem)
	}
	for i := range problems {
		problems[i].Setting = prefix + problems[i].Setting
	}
	if ctx.Err() != nil {
		problems = append(problems, connector.checkCanceled(ctx))
	}
	return problems
}

// renamedSetting returns the new name of a setting that Kafka ignores since 4.0, so that excluded fields would pass.
func renamedSetting(class, name string) string {
	if !strings.HasPrefix(class, "org.apache.kafka.connect.transforms.ReplaceField$") {
		return ""
	}
	return map[string]string{"blacklist": "exclude", "whitelist": "include"}[name]
}

// ExpectedEntry returns an empty entry where a missing setting belongs: at its transform or group, else at the top.
func (c *Connector) ExpectedEntry(name string) Entry {
	expected := Entry{Key: name, File: c.File, Line: 1}
	if prefix := stagePrefix(name); prefix != "" {
		if typed, ok := c.Entry(prefix + "type"); ok {
			expected.File = typed.File
			expected.Line = typed.Line
		}
		return expected
	}
	group := name[:strings.LastIndexByte(name, '.')+1]
	for _, entry := range c.Entries {
		if strings.ContainsAny(group, "0123456789") && strings.HasPrefix(entry.Key, group) {
			expected.Line = entry.Line
			break
		}
	}
	return expected
}

func stagePrefix(name string) string {
	for _, list := range []string{"transforms.", "predicates."} {
		if suffix, ok := strings.CutPrefix(name, list); ok {
			if alias, _, ok := strings.Cut(suffix, "."); ok {
				return list + alias + "."
			}
		}
	}
	return ""
}

// MaxSinkTasks is the largest number of tasks of a sink. Each is a Kafka client, even without a partition.
const MaxSinkTasks = 1000

// ValidationProblems converts the result of a plugin's validate, each problem at the line of its setting. Settings with
// an error in reported are omitted; a plugin cannot judge a password, which it does not see.
func ValidationProblems(connector *Connector, prefix string, validated []wit.ConfigValue, reported Problems) Problems {
	var problems Problems
	for _, value := range validated {
		// Most values have none, and the search below is slow.
		if len(value.Errors) == 0 {
			continue
		}
		name := prefix + value.Key.Name
		if slices.ContainsFunc(reported, func(p Problem) bool { return p.Setting == name && !p.Warning }) {
			continue
		}
		entry, ok := connector.Entry(name)
		if ok && value.Key.Kind == wit.KindPassword {
			continue
		}
		if !ok {
			entry = connector.ExpectedEntry(name)
		}
		for _, message := range value.Errors {
			problems = append(problems, entry.problem("%s", message))
		}
	}
	return problems
}

// Declarations are the settings of a component or of Kafka Connect itself.
type Declarations = setting.Table

// maxGuesses bounds the comparisons for similar names: some hundred times what built-in plugins need.
const maxGuesses = 100_000_000

// Declare returns the Declarations of settings in order.
func Declare(specs ...wit.ConfigKey) *Declarations { return setting.NewTable(specs...) }

// DeclareComponent is [Declare] for a plugin's component, with its prefixes.
func DeclareComponent(c wit.Component) *Declarations { return setting.NewComponentTable(&c) }

// List splits a value at commas, see [setting.List].
func List(value string) []string { return setting.ParseList(value) }

// Boolean parses true, false, 1 and 0 in any case.
func Boolean(value string) (b, ok bool) { return setting.ParseBool(value) }

// CheckValue returns the problem of a value in Kafka Connect's words, or "". It quotes the value only if shown is true
// and the setting is no password.
func CheckValue(spec *wit.ConfigKey, value string, shown bool) string {
	return setting.Check{Secret: !shown, Matches: matchesWhole}.Value(spec, value)
}

func matchesWhole(pattern, text string) bool {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err != nil || re.MatchString(text)
}
