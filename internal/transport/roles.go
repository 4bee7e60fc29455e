package transport

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Roles provides a connector's settings by role: the meaning of a setting for the host, such as the service's address.
type Roles interface {
	// Text returns the value of a role, or "".
	Text(role string) string
	// Prefix returns all roles below a prefix, without it.
	Prefix(role string) map[string]string
	// Setting returns the user's name of a role's setting, or the role if it has none.
	Setting(role string) string
	// IsSet reports whether the user set the role.
	IsSet(role string) bool
}

// roleSpecs define the types of roles, whatever a plugin declares.
var roleSpecs = setting.NewTable(
	number(role.Port), number(role.MaxConcurrent), number(role.MaxConnections), number(role.RetryMax),
	milliseconds(role.ConnectTimeoutMS), milliseconds(role.ReadTimeoutMS), milliseconds(role.RetryMinBackoffMS),
	milliseconds(role.RetryMaxBackoffMS), milliseconds(role.ProxyOutageMS),
	setting.Define(role.RequestsPerSecond, wit.KindDouble, wit.Low, nil, "", setting.AtLeast(0),
		setting.AtMost(1_000_000)),
	setting.Define(role.TLSAllowLegacy, wit.KindBoolean, wit.Low, nil, ""),
	setting.Define(role.TLSAllowRSAKeyExchange, wit.KindBoolean, wit.Low, nil, ""),
	setting.Define(role.TLSAllowRenegotiation, wit.KindBoolean, wit.Low, nil, ""),
	setting.Define(role.TLSAllowCommonName, wit.KindBoolean, wit.Low, nil, ""),
	setting.Define(role.ClientIn, wit.KindString, wit.Low, nil, "", setting.Allowed("header", "query")),
	setting.Define(role.OAuthClientAuth, wit.KindString, wit.Low, nil, "", setting.Allowed("header", "body")),
)

func number(name string) wit.ConfigKey {
	return setting.Define(name, wit.KindInt, wit.Low, nil, "", setting.AtLeast(0))
}

// milliseconds are bounded by the range of [time.Duration].
func milliseconds(name string) wit.ConfigKey {
	return setting.Define(name, wit.KindLong, wit.Low, nil, "", setting.AtLeast(0), setting.AtMost(1<<40))
}

func defaultNumber(name string) int {
	n, err := strconv.Atoi(*role.HostDefault(name))
	if err != nil {
		panic(name + ": the default is not a number") // a bug in package role
	}
	return n
}

func defaultMilliseconds(name string) time.Duration {
	return setting.Milliseconds(int64(defaultNumber(name)))
}

// roleReader parses roles and keeps the first error. Its methods return zero for a missing or invalid value.
type roleReader struct {
	roles Roles
	err   error
}

// text returns a value that its specification allows, "" for a missing or invalid one.
func (r *roleReader) text(name string) string {
	s := strings.TrimSpace(r.roles.Text(name))
	spec, ok := roleSpecs.Find(name)
	if s == "" || !ok {
		return s
	}
	spec.Name = r.roles.Setting(name)
	if problem := (setting.Check{}).Value(&spec, s); problem != "" {
		if r.err == nil {
			r.err = settingError(r.roles, name, "%s", problem)
		}
		return ""
	}
	return s
}

func (r *roleReader) number(name string) int {
	n, _ := setting.ParseInt(wit.KindLong, r.text(name))
	return int(n)
}

func (r *roleReader) decimal(name string) float64 {
	n, _ := setting.ParseFloat(r.text(name))
	return n
}

func (r *roleReader) flag(name string) bool {
	isSet, _ := setting.ParseBool(r.text(name))
	return isSet
}

func (r *roleReader) equals(name, value string) bool { return strings.EqualFold(r.text(name), value) }

func (r *roleReader) milliseconds(name string) time.Duration {
	return time.Duration(r.number(name)) * time.Millisecond
}

func settingError(roles Roles, roleName, format string, args ...any) *wit.Error {
	f := errorf(wit.ErrorConfig, format, args...)
	name := roles.Setting(roleName)
	f.Setting = &name
	return f
}

func invalidValue(roles Roles, roleName, value string, problem error) *wit.Error {
	return settingError(roles, roleName, "%s", setting.Invalid(roles.Setting(roleName), value, problem.Error()))
}

func splitCodes(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c == ' ' || c == '\t' })
}

func errorf(kind wit.ErrorKind, format string, args ...any) *wit.Error {
	return &wit.Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func orNothing(s string) string { return cmp.Or(s, "nothing") }
