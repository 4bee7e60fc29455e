package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Validation is the result of a validation, as REST shows it.
type Validation struct {
	Name string `json:"name"` // the class as written, which may be an alias
	// ErrorCount counts the errors in Configs that prevent the connector's creation: all but [LogonNotTried].
	ErrorCount int         `json:"error_count"`
	Groups     []string    `json:"groups"`
	Configs    []Validated `json:"configs"`
	// Logon is the result of a check of the logon: [LogonAccepted], why it is unknown, or "".
	Logon string `json:"logon,omitempty"`
	// User is the accepted user as written, "" if none or it is unknown.
	User string `json:"user,omitempty"`
}

// LogonAccepted means that the service answered and accepted the secrets.
const LogonAccepted = "accepted"

// LogonNotTried is the beginning of the note that a secret was not tried. The note is among the errors of the setting,
// because Kafka Connect's format has no other place for notes.
const LogonNotTried = "Logon not tried: "

// Validated is the definition of a setting with its value.
type Validated struct {
	Definition Definition `json:"definition"`
	Value      Value      `json:"value"`
}

// Definition is the declaration of a setting.
type Definition struct {
	Name          string  `json:"name"`
	Type          string  `json:"type"`
	Required      bool    `json:"required"`
	DefaultValue  *string `json:"default_value"`
	Importance    string  `json:"importance"`
	Documentation string  `json:"documentation"`
	Group         *string `json:"group"`
	// Order has two names, because Kafka Connect renamed it in 4.2, and some tools know only one.
	Order        int32    `json:"order"`
	OrderInGroup int32    `json:"order_in_group"`
	Width        string   `json:"width"`
	DisplayName  string   `json:"display_name"`
	Dependents   []string `json:"dependents"`
}

// Value is the value of a setting with its errors and recommended values.
type Value struct {
	Name              string   `json:"name"`
	Value             *string  `json:"value"`
	RecommendedValues []string `json:"recommended_values"`
	Errors            []string `json:"errors"`
	Visible           bool     `json:"visible"`
	// AllowedValues are the only valid values, or items of a list. Nil means that the declaration has no fixed set.
	// Kafka Connect does not have this field.
	AllowedValues []string `json:"allowed_values,omitempty"`
}

// KindName returns Kafka's name of a kind of settings in lower case.
func KindName(kind wit.SettingKind) string { return strings.ToLower(cmp.Or(kindNames[kind], "string")) }

var (
	kindNames = map[wit.SettingKind]string{wit.KindString: "STRING", wit.KindPassword: "PASSWORD",
		wit.KindShort: "SHORT", wit.KindInt: "INT", wit.KindLong: "LONG", wit.KindDouble: "DOUBLE",
		wit.KindBoolean: "BOOLEAN", wit.KindList: "LIST", wit.KindClass: "CLASS"}
	importances = map[wit.Importance]string{wit.High: "HIGH", wit.Medium: "MEDIUM", wit.Low: "LOW"}
	widths      = []string{"NONE", "SHORT", "MEDIUM", "LONG"}
)

// Validate checks a configuration as Check does and shows all settings with it: those of every connector, of its
// transforms and predicates, of its plugin and of its converters. With [Checker.Wait] the plugin may send requests to
// the service, for recommended values and for errors that only the service knows. It fails if the class is unknown.
// Passwords are hidden; references stay as written.
func (ch *Checker) Validate(ctx context.Context, connector *resolved.Connector) (*Validation, error) {
	if err := connector.Class.Err; err != nil {
		return nil, err
	}
	component := connector.Class.Component
	builder := &validationBuilder{Validation: Validation{Name: connector.Text("connector.class"), Groups: []string{}},
		connector: connector, password: resolved.Passwords(ch.Plugins), index: map[string]int{}}
	// All settings with their values: of every connector, of stages, of the plugin, of converters.
	for _, spec := range ch.common(connector.Class.Module.Version, component.Kind) {
		value := builder.configValue(spec)
		value.Recommended = ch.recommended(spec.Name, component)
		builder.add("", value)
	}
	for _, stage := range connector.Stages.All() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		builder.addStage(ch, stage)
	}
	for _, value := range component.Table().Validate(rawSettings(connector.Connector)) {
		builder.add("", value)
	}
	for _, converter := range []string{resolved.HeaderConverter, resolved.KeyConverter, resolved.ValueConverter} {
		declared, err := resolved.ConverterOf(converter, builder.connector.Text(converter))
		if err != nil {
			continue // no converter is set, or its class is unknown, which is reported as a problem
		}
		settings := map[string]string{}
		for _, e := range builder.connector.Entries {
			if name, ok := strings.CutPrefix(e.Key, converter+"."); ok {
				settings[name] = e.Raw
			}
		}
		for _, e := range declared.Validate(settings, converter == resolved.KeyConverter) {
			if converter == resolved.HeaderConverter && e.Key.Name == "converter.type" {
				converterType := "header" // Validate distinguishes only key and value
				e.Value = &converterType
			}
			builder.add(converter+".", e)
		}
	}
	// The problems, and what the plugin answers for its own settings.
	validate := func(ctx context.Context, found config.Problems) config.Problems {
		return ch.validateOffline(ctx, connector, nil, found)
	}
	var validated []wit.ConfigValue
	var logon logonHint
	if ch.Wait > 0 {
		validate = func(ctx context.Context, found config.Problems) (problems config.Problems) {
			validated, logon, problems = ch.validateOnline(ctx, connector, found)
			return problems
		}
	}
	problems := ch.check(ctx, connector, validate)
	for _, value := range validated { // none if the plugin was called offline
		added := builder.find(value.Key.Name)
		if added == nil {
			if _, isSet := builder.connector.Entry(value.Key.Name); isSet {
				continue // its declaration was added
			}
			value.Value = value.Key.DefaultValue
			builder.add("", value)
			continue
		}
		added.Value.RecommendedValues = append([]string{}, value.Recommended...)
		added.Value.Visible = value.Visible
		added.Definition.Documentation = value.Key.Documentation
	}
	if setting.Trim(connector.Text("name")) == "" {
		problems = append(problems, config.Problem{Setting: "name", Text: setting.Missing("name")})
	}
	builder.addProblems(append(slices.Clone(connector.Problems), problems...), component.Table())
	if secret := builder.find(logon.setting); secret != nil && logon.reason != "" {
		secret.Value.Errors = append(secret.Value.Errors,
			LogonNotTried+logon.reason+". Values from the service are neither recommended nor checked: "+
				"write the secret as a reference (${file:PATH:KEY}), or check the logon (?logon=check), or create the "+
				"connector and check again")
	}
	builder.Logon = ch.Worker.Redact(logon.result)
	if builder.Logon == LogonAccepted {
		user, _ := connector.Entry(connector.Roles().Setting(role.User))
		builder.User = user.Raw
	}
	builder.redact(ch.Worker.Redact)
	return &builder.Validation, nil
}

// redact removes values of config providers: a plugin may recommend and document them, and names of settings and groups
// contain aliases. Values and names that the user wrote stay as written.
func (v *validationBuilder) redact(redact func(string) string) {
	redactAll := func(texts []string) {
		for i := range texts {
			texts[i] = redact(texts[i])
		}
	}
	redactPointer := func(text *string) *string {
		if text == nil {
			return nil
		}
		redacted := redact(*text)
		return &redacted
	}
	transforms, _ := v.connector.Entry("transforms")
	predicates, _ := v.connector.Entry("predicates")
	hasSecretAlias := transforms.Value.IsSecret() || predicates.Value.IsSecret()
	isSet := map[string]bool{}
	for _, entry := range v.connector.Entries {
		isSet[entry.Key] = true
	}
	for i := range v.Configs {
		definition := &v.Configs[i].Definition
		value := &v.Configs[i].Value
		definition.Documentation = redact(definition.Documentation)
		definition.DefaultValue = redactPointer(definition.DefaultValue)
		definition.Group = redactPointer(definition.Group)
		if !isSet[definition.Name] {
			value.Value = redactPointer(value.Value)
			if hasSecretAlias {
				definition.Name = redact(definition.Name)
				value.Name = definition.Name
			}
		}
		definition.DisplayName = redact(definition.DisplayName)
		redactAll(value.RecommendedValues)
		redactAll(value.AllowedValues)
		redactAll(value.Errors)
	}
	redactAll(v.Groups)
}

// common returns the settings that all connectors of the component's kind have, with the defaults of this worker and
// the version of the plugin.
func (ch *Checker) common(version string, kind wit.ComponentKind) []wit.ConfigKey {
	specs := config.CommonSettings(kind)
	for i := range specs {
		spec := &specs[i]
		switch spec.Name {
		case "connector.plugin.version":
			spec.DefaultValue = &version
		case resolved.KeyConverter + "." + converterVersion, resolved.ValueConverter + "." + converterVersion,
			resolved.HeaderConverter + "." + converterVersion:
			if ch.Version != "" {
				spec.DefaultValue = &ch.Version
			}
		case "key.converter", "value.converter", "header.converter":
			class := ch.Worker.Text(spec.Name)
			spec.DefaultValue = &class
		case "topics.regex", "errors.deadletterqueue.topic.name":
			spec.DefaultValue = new(string)
		}
		if spec.Kind == wit.KindList && spec.DefaultValue == nil {
			spec.DefaultValue = new(string)
		}
	}
	return specs
}

// recommended returns the recommended values of a setting that common returns.
func (ch *Checker) recommended(name string, component *plugin.Component) (values []string) {
	switch name {
	case "connector.plugin.version":
		values = ch.versions(component.Name, component.Kind)
	case resolved.KeyConverter + "." + converterVersion, resolved.ValueConverter + "." + converterVersion,
		resolved.HeaderConverter + "." + converterVersion:
		if ch.Version != "" {
			values = []string{ch.Version}
		}
	case resolved.KeyConverter, resolved.ValueConverter:
		for _, d := range convert.Declarations() {
			values = append(values, d.Class)
		}
	case resolved.HeaderConverter:
		values = convert.HeaderClasses()
	}
	return values
}

// versions returns the versions of the plugins that have a class of one of the kinds.
func (ch *Checker) versions(class string, kinds ...wit.ComponentKind) (versions []string) {
	for _, info := range ch.Plugins.Modules() {
		for _, c := range info.Components {
			if c.Name == class && slices.Contains(kinds, c.Kind) && !slices.Contains(versions, info.Version) {
				versions = append(versions, info.Version)
			}
		}
	}
	return versions
}

// AddError adds an error of a setting that has no value to check.
func (v *Validation) AddError(name, text string) {
	v.ErrorCount++
	for i := range v.Configs {
		if entry := &v.Configs[i].Value; entry.Name == name {
			entry.Errors = append(entry.Errors, text)
			return
		}
	}
	const isCommon = false
	value := Value{Name: name, RecommendedValues: []string{}, Errors: []string{text}, Visible: true}
	v.Configs = append(v.Configs, Validated{Definition: newDefinition(undeclaredKey(name), "", isCommon), Value: value})
}

// undeclaredKey returns a declaration for a setting without one: some tools fail without it.
func undeclaredKey(name string) wit.ConfigKey {
	return wit.ConfigKey{Name: name, Importance: wit.Low, Documentation: "No plugin declares this setting."}
}

// Class returns the full name of a connector's class, which may be an alias.
func (ch *Checker) Class(class string) (string, error) {
	_, component, err := resolved.Find(ch.Plugins, class, "", wit.ComponentSource, wit.ComponentSink)
	return component.Name, err
}

// validationBuilder builds a [Validation] setting by setting.
type validationBuilder struct {
	Validation
	connector *resolved.Connector
	password  func(string) bool // reports whether the setting of a name is a password
	index     map[string]int    // the index in Configs, by the name of a setting
}

// rawSettings returns the settings as written, because users who may validate may not see values of config providers.
func rawSettings(connector *config.Connector) []wit.Setting {
	var settings []wit.Setting
	for _, entry := range connector.Entries {
		settings = append(settings, wit.Setting{Name: entry.Key, Value: entry.Raw})
	}
	return settings
}

func (v *validationBuilder) configValue(spec wit.ConfigKey) wit.ConfigValue {
	value := wit.ConfigValue{Key: spec, Value: spec.DefaultValue, Visible: true}
	if entry, ok := v.connector.Entry(spec.Name); ok {
		value.Value = &entry.Raw
	}
	return value
}

// addStage adds the settings of a transform or predicate: class and version first, then by name, as Kafka Connect does.
func (v *validationBuilder) addStage(ch *Checker, stage *resolved.Stage) {
	prefix := stage.Prefix
	group := "Transforms: " + stage.Alias
	source := "Transformation"
	if stage.Kind == wit.ComponentPredicate {
		group = "Predicates: " + stage.Alias
		source = "Predicate"
	}
	first := len(v.Configs)
	const unsortedCount = 2 // class and version
	key := func(name string, kind wit.SettingKind, importance wit.Importance, doc, display string) wit.ConfigValue {
		return v.configValue(wit.ConfigKey{Name: prefix + name, Kind: kind, Importance: importance, Documentation: doc,
			Rules: []wit.Rule{setting.Display(display)}})
	}
	classValue := key("type", wit.KindClass, wit.High, "Class.", source+" type for "+stage.Alias)
	classValue.Recommended = resolved.Offered(ch.Plugins, stage.Kind)
	classValue.Key.Rules = append(classValue.Key.Rules, setting.Required())
	v.add("", classValue)
	versionValue := key("plugin.version", wit.KindString, wit.High,
		"Version of the plugin, or a range such as [1.0,2.0); default: the newest.", source+" version for "+stage.Alias)
	class := &stage.Class
	if class.Err == nil {
		versionValue.Key.DefaultValue = &class.Module.Version
		versionValue.Recommended = ch.versions(class.Component.Name, stage.Kind)
		if versionValue.Value == nil {
			versionValue.Value = &class.Module.Version
		}
	}
	v.add("", versionValue)
	if class.Err == nil {
		settings := rawSettings(v.connector.StageConfig(stage))
		for _, value := range class.Component.Table().Validate(settings) {
			v.add(prefix, value)
		}
	}
	if stage.Kind == wit.ComponentTransformation {
		negate := key("negate", wit.KindBoolean, wit.Medium, "Whether the predicate is negated.", "negate")
		disabled := "false"
		negate.Key.DefaultValue = &disabled
		if negate.Value == nil {
			negate.Value = &disabled
		}
		v.add("", negate)
		v.add("", key("predicate", wit.KindString, wit.Medium,
			"Alias of the predicate that selects the records to transform.", "predicate"))
	}
	stageSettings := v.Configs[min(first+unsortedCount, len(v.Configs)):]
	byName := func(a, b Validated) int { return strings.Compare(a.Value.Name, b.Value.Name) }
	slices.SortStableFunc(stageSettings, byName)
	for i := range v.Configs[first:] {
		definition := &v.Configs[first+i].Definition
		definition.Group = &group
		definition.Order = int32(i)
		definition.OrderInGroup = int32(i)
		if i < unsortedCount {
			definition.Width = "LONG"
		}
		v.index[definition.Name] = first + i
	}
	v.addGroup(group)
}

func (v *validationBuilder) addGroup(name string) {
	if !slices.Contains(v.Groups, name) {
		v.Groups = append(v.Groups, name)
	}
}

// add adds a setting, whose name follows the prefix, unless a setting of that name was added before.
func (v *validationBuilder) add(prefix string, value wit.ConfigValue) {
	spec := value.Key
	definition := newDefinition(spec, prefix, prefix == "")
	if v.find(definition.Name) != nil {
		return
	}
	if definition.Group != nil {
		v.addGroup(*definition.Group)
	}
	shown := normalizedValue(spec.Kind, value.Value)
	if shown != nil && *shown != "" && (spec.Kind == wit.KindPassword || v.password(definition.Name)) {
		hidden := setting.Hidden
		shown = &hidden
	}
	v.index[definition.Name] = len(v.Configs)
	validated := Validated{Definition: definition, Value: Value{Name: definition.Name, Value: shown,
		RecommendedValues: append([]string{}, value.Recommended...), Errors: []string{}, Visible: value.Visible}}
	for _, r := range spec.Rules {
		if r.Allowed != nil {
			validated.Value.AllowedValues = slices.Clone(*r.Allowed)
		}
	}
	v.Configs = append(v.Configs, validated)
}

// normalizedValue returns a value as Kafka Connect shows it: normalized and trimmed, unchanged if it is invalid.
func normalizedValue(kind wit.SettingKind, value *string) *string {
	if value == nil || kind == wit.KindPassword {
		return value
	}
	normalized := setting.Trim(*value)
	switch kind {
	case wit.KindShort, wit.KindInt, wit.KindLong:
		if n, ok := setting.ParseInt(kind, normalized); ok {
			normalized = strconv.FormatInt(n, 10)
		}
	case wit.KindBoolean:
		if b, ok := config.Boolean(normalized); ok {
			normalized = strconv.FormatBool(b)
		}
	}
	return &normalized
}

// newDefinition returns a declaration as Kafka Connect shows it. isCommon means that every connector has the setting.
func newDefinition(spec wit.ConfigKey, prefix string, isCommon bool) Definition {
	definition := Definition{Name: prefix + spec.Name, Type: kindNames[spec.Kind], DefaultValue: spec.DefaultValue,
		Importance: importances[spec.Importance], Documentation: spec.Documentation,
		Required: setting.IsRequired(&spec) || (spec.Name == "name" && isCommon), Order: -1, Width: widths[0],
		DisplayName: spec.Name, Dependents: []string{}}
	for _, r := range spec.Rules {
		switch {
		case r.Group != nil:
			definition.Group = r.Group
		case r.Order != nil:
			definition.Order = *r.Order
		case r.Width != nil && int(*r.Width) < len(widths):
			definition.Width = widths[*r.Width]
		case r.DisplayName != nil:
			definition.DisplayName = *r.DisplayName
		case r.Dependents != nil:
			definition.Dependents = append(definition.Dependents, *r.Dependents...)
		}
	}
	definition.OrderInGroup = definition.Order
	if definition.DefaultValue != nil && spec.Kind == wit.KindPassword {
		hidden := setting.Hidden
		definition.DefaultValue = &hidden
	}
	return definition
}

func (v *validationBuilder) find(name string) *Validated {
	i, ok := v.index[name]
	if !ok {
		return nil
	}
	return &v.Configs[i]
}

// addProblems adds the errors to the values of their settings, or to connector.class if they name none. It adds missing
// settings, and ignores warnings.
func (v *validationBuilder) addProblems(problems config.Problems, declared *config.Declarations) {
	for _, p := range problems {
		if p.Warning {
			continue
		}
		name := p.Setting
		if name == "" {
			name = "connector.class"
		}
		if spec, ok := declared.Find(name); ok && v.find(name) == nil && v.find(spec.Name) != nil {
			name = spec.Name
		}
		validated := v.find(name)
		if validated == nil {
			for _, value := range declared.Validate([]wit.Setting{{Name: name}}) {
				if value.Key.Name == name { // a setting of a group without settings
					v.add("", v.configValue(value.Key))
				}
			}
			v.add("", v.configValue(undeclaredKey(name)))
			validated = v.find(name)
		}
		if message := Message(p); !slices.Contains(validated.Value.Errors, message) {
			validated.Value.Errors = append(validated.Value.Errors, message)
			v.ErrorCount++
		}
	}
}

// Message returns the text of a problem, with the name of its setting if the text does not contain it.
func Message(p config.Problem) string {
	if p.Setting == "" || config.Mentions(p.Text, p.Setting) {
		return p.Text
	}
	return fmt.Sprintf("%s: %s", p.Setting, p.Text)
}
