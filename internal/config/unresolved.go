package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// IsUnresolved reports whether a reference in the value could not be resolved.
func (e Entry) IsUnresolved() bool { return e.Value.IsSecret() && e.Value.Reveal() == "" }

// UnresolvedKeys returns the settings with unresolved references, including those of the worker that the connector does
// not override.
func (c *Connector) UnresolvedKeys(workerKeys ...string) []string {
	names := unresolvedKeys(c.Entries)
	for _, name := range workerKeys {
		// key.converter also overrides the worker's key.converter.basic.auth.user.info.
		overrides := func(entry Entry) bool { return strings.HasPrefix(name+".", entry.Key+".") }
		if !slices.ContainsFunc(c.Entries, overrides) {
			names = append(names, name)
		}
	}
	return names
}

// UnresolvedKeys returns the settings with unresolved references.
func (w *Worker) UnresolvedKeys() []string { return unresolvedKeys(w.layers.entries) }

func unresolvedKeys(entries []Entry) (names []string) {
	for _, entry := range entries {
		if entry.IsUnresolved() {
			names = append(names, entry.Key)
		}
	}
	return names
}

// WithoutUnresolved omits problems that unresolved settings may cause: of these settings, of settings that contain
// them, such as value.converter, and problems that mention them.
func WithoutUnresolved(problems Problems, absent []string) Problems {
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(absent, func(name string) bool {
			return p.Setting == name || strings.HasPrefix(name, p.Setting+".") || Mentions(p.Text, name)
		})
	})
}

// Mentions reports whether a text contains the whole name of a setting.
func Mentions(text, name string) bool {
	inName := func(r rune) bool { return strings.ContainsRune(".-_#", r) || unicode.IsLetter(r) || unicode.IsDigit(r) }
	words := strings.FieldsFunc(text, func(r rune) bool { return !inName(r) })
	return slices.ContainsFunc(words, func(part string) bool { return strings.TrimRight(part, ".") == name })
}

// variable matches a value that looks like a variable of a shell or of Windows.
var variable = regexp.MustCompile(
	`^(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}]|%[A-Za-z_][A-Za-z0-9_]*%)$`)

// quotedVariable matches a value with such a variable after a =, as in a login module's line.
var quotedVariable = regexp.MustCompile(
	`=\s*["']?(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}])["']?\s*(;|\s|$)`)

// CheckLiteral returns the problems of a value as it is written: of a mask, a variable or an unknown reference.
func (p *Providers) CheckLiteral(entry Entry, spec *wit.ConfigKey) Problems {
	value := setting.Trim(entry.Raw)
	password := spec.Kind == wit.KindPassword
	switch {
	case password && value == Mask:
		return Problems{entry.Problem("expected a password, found the mask that is shown instead of one: write the " +
			"password, or a reference to it such as ${file:PATH:KEY}")}
	case password && value == "":
		return Problems{entry.Warning("is empty: set a password or remove the line")}
	case p.HasUnknownProvider(entry):
		return Problems{p.UnknownProvider(entry, isTransmitted(spec))}
	case password && !entry.Value.IsSecret() && (variable.MatchString(value) || quotedVariable.MatchString(value)):
		return Problems{entry.Warning("looks like a variable, but the text is used as it is: write ${env:NAME} for " +
			"a variable of the environment")}
	}
	return nil
}

func isTransmitted(spec *wit.ConfigKey) bool {
	return spec.Kind == wit.KindPassword || HasPrefix(spec.Role(), []string{role.HTTP, role.TLS, role.Listener})
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
	const format = "looks like a reference to an unknown config provider: it is %s. Known providers: %s; the " +
		"worker's config.providers declares others"
	if sent {
		return entry.Problem(format, "not sent", p.names())
	}
	return entry.Warning(format, "used as it is", p.names())
}

// InvalidValue returns the problem of an invalid value, which may be a reference to an unknown config provider.
func (p *Providers) InvalidValue(entry Entry, message string) Problems {
	problems := Problems{entry.CodedProblem(setting.CodeInvalid, message)}
	if p.HasUnknownProvider(entry) {
		problems = append(problems, p.UnknownProvider(entry, false))
	}
	return problems
}
