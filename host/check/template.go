package check

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// templateWidth is where comments of a template are wrapped.
const templateWidth = 100

// Template writes a connector's properties file to fill in, from what the connector's class and the host declare: what
// is required stands there without a value, all else as a comment with its default. Of a transform or predicate it is
// the lines for a connector's file.
func Template(w io.Writer, component wit.Component) error {
	b := bufio.NewWriter(w)
	t := templateWriter{w: b}
	t.comment("", component.Documentation)
	switch component.Kind {
	case wit.ComponentTransformation:
		t.line("", "transforms", "one")
		t.prefix = "transforms.one."
		t.line("", t.prefix+"type", component.Name)
	case wit.ComponentPredicate:
		t.line("", "predicates", "one")
		t.prefix = "predicates.one."
		t.line("", t.prefix+"type", component.Name)
	default:
		t.line("", "name", strings.ToLower(component.Kind.String()))
		t.line("", "connector.class", component.Name)
		t.section("Every connector")
		for _, spec := range config.CommonSettings(component.Kind) {
			if spec.Name != "name" && spec.Name != "connector.class" {
				t.setting(&spec)
			}
		}
		if component.Kind == wit.ComponentSource || component.Kind == wit.ComponentSink {
			t.section(component.Name)
		}
	}
	group := ""
	for _, spec := range component.Settings {
		if g := setting.GroupOf(&spec); g != group {
			if group = g; group != "" {
				t.section(example(group))
			}
		}
		t.setting(&spec)
	}
	return b.Flush()
}

// ConverterTemplate writes the lines for a connector's file, or the worker's, that make a converter that of values.
func ConverterTemplate(w io.Writer, d convert.Declaration) error {
	b := bufio.NewWriter(w)
	t := templateWriter{w: b, prefix: "value.converter."}
	t.comment("", d.Documentation)
	t.line("", "value.converter", d.Class)
	for _, spec := range d.Own() {
		t.setting(&spec)
	}
	return b.Flush()
}

// example puts something in the place of placeholders.
func example(template string) string {
	return strings.NewReplacer("{n}", "00", "{m}", "00", "{name}", "NAME").Replace(template)
}

// Commented writes a connector's properties as they are given, each after what its declaration says of it.
func Commented(w io.Writer, settings []config.Entry, declared *config.Declarations) error {
	b := bufio.NewWriter(w)
	t := templateWriter{w: b}
	for _, e := range settings {
		if spec, ok := declared.Find(e.Key); ok {
			fmt.Fprintln(b)
			t.comment("", spec.Documentation)
		}
		t.line("", e.Key, e.Raw)
	}
	return b.Flush()
}

type templateWriter struct {
	w      io.Writer
	prefix string
}

func (t templateWriter) section(title string) {
	fmt.Fprintf(t.w, "\n# %s\n", strings.Join(strings.Fields("--- "+title+" ---"), " "))
}

func (t templateWriter) setting(spec *wit.SettingSpec) {
	fmt.Fprintln(t.w)
	t.comment(KindOf(spec), spec.Documentation)
	mark, value := "#", ""
	if spec.DefaultValue != nil && spec.Kind != wit.KindPassword && !leads(spec) {
		value = *spec.DefaultValue
	}
	if (setting.IsRequired(spec) || leads(spec)) && !setting.IsTemplate(spec.Name) {
		mark = ""
	}
	t.line(mark, t.prefix+example(spec.Name), value)
}

// leads tells whether a setting has to say where requests go, because no default of the plugin may.
func leads(spec *wit.SettingSpec) bool {
	r, _ := role.Find(spec.Role())
	return (r.Name == role.Address || r.Name == role.Port) && (spec.DefaultValue == nil ||
		!r.Counts(*spec.DefaultValue))
}

// line writes a setting as a properties file has it.
func (t templateWriter) line(mark, name, value string) {
	fmt.Fprintf(t.w, "%s%s\n", mark, config.PropertiesLine(name, value))
}

// KindOf says in words what a value of a setting is: its kind and what bounds it.
func KindOf(spec *wit.SettingSpec) string {
	parts := []string{KindName(spec.Kind)}
	if leads(spec) && !setting.IsRequired(spec) {
		parts = append(parts, "required unless a destination says it")
	}
	for _, r := range spec.Rules {
		switch {
		case r.Required != nil:
			parts = slices.Insert(parts, 0, "required")
		case r.Allowed != nil:
			parts = append(parts, "one of "+strings.Join(*r.Allowed, ", "))
		case r.AtLeast != nil:
			parts = append(parts, fmt.Sprintf("at least %d", *r.AtLeast))
		case r.AtMost != nil:
			parts = append(parts, fmt.Sprintf("at most %d", *r.AtMost))
		}
	}
	return strings.Join(parts, ", ")
}

// comment writes text in lines that begin with #; what a plugin says of itself begins none of its own.
func (t templateWriter) comment(kind, text string) {
	if kind != "" {
		text += " (" + kind + ")"
	}
	line := "#"
	for _, word := range strings.Fields(shown.Line(text)) {
		if len(line)+1+len(word) > templateWidth && line != "#" {
			fmt.Fprintln(t.w, line)
			line = "#"
		}
		line += " " + word
	}
	fmt.Fprintln(t.w, line)
}
