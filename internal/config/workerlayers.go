package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// layers merges the settings of the worker: its defaults, its file, the environment and the command line.
type layers struct {
	*koanf.Koanf
	entries []Entry // the user's settings with file, line and order, which koanf's map cannot hold
}

// noDelimiter is a delimiter that no key contains, so that koanf keeps keys flat: no input contains a byte 0 after
// 0xff.
const noDelimiter = "\xff\x00"

// fromEnvironment begins the File of entries from the environment.
const fromEnvironment = "environment "

// variableKey converts a variable's name as in Kafka's container images: _ is a dot, __ an underscore, ___ a dash.
var variableKey = strings.NewReplacer("___", "-", "__", "_", "_", ".")

func (l *layers) environment(environ []string) koanf.Provider {
	return variables("CULVERT_", environ, func(name, value string) (string, any) {
		key := variableKey.Replace(strings.ToLower(strings.TrimPrefix(name, "CULVERT_")))
		l.entries = append(l.entries, NewEntry(key, value, fromEnvironment+name, 0))
		return key, value
	})
}

func variables(prefix string, environ []string, keyed func(name, value string) (string, any)) koanf.Provider {
	return env.Provider(noDelimiter, env.Opt{Prefix: prefix, TransformFunc: keyed,
		EnvironFunc: func() []string { return environ }})
}

func (l *layers) commandLine(flags map[string]string) koanf.Provider {
	var entries []Entry
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		entries = append(entries, NewEntry(key, flags[key], "command line", 0))
	}
	l.entries = append(l.entries, entries...)
	return confmap.Provider(valuesByKey(entries), noDelimiter)
}

// serviceLink matches variables that Kubernetes sets in each pod of a namespace for a service, here one whose name
// begins with culvert: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables. The
// variables that end in _TCP_PROTO, _TCP_PORT and _TCP_ADDR are not matched, because they name no setting.
var serviceLink = regexp.MustCompile(
	`^CULVERT(_[A-Z0-9_]+)?_(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT(_[0-9]+_TCP)?=tcp://)`)

// withoutServiceLinks returns the variables that Kubernetes did not set for a service, with a warning about the others.
func withoutServiceLinks(environ []string) (remaining []string, warnings Problems) {
	var links []string
	for _, variable := range environ {
		if !serviceLink.MatchString(variable) {
			remaining = append(remaining, variable)
			continue
		}
		name, _, _ := strings.Cut(variable, "=")
		links = append(links, name)
	}
	if len(links) == 0 {
		return environ, nil
	}
	slices.Sort(links)
	return remaining, Problems{{File: strings.TrimSpace(fromEnvironment), Warning: true, Text: fmt.Sprintf(
		"%s: ignored, because Kubernetes sets such variables for a service. enableServiceLinks: false in the pod's "+
			"spec removes them", strings.Join(links, ", "))}}
}

// protections restrict who may use REST, what connectors may read and override, and how Kafka clients and listeners
// prove who they are. Their empty values are valid and restrict less. For other such settings, such as rest.read.only,
// it is invalid. Passwords, keystores and Java classes are not in the list: without them nothing is restricted less.
var protections = []string{"rest.basic.auth.file", "rest.allowed.hosts", "response.http.headers.config",
	"connector.client.config.override.policy", "config.providers", TracingCertificate, "security.protocol",
	"ssl.protocol", "ssl.enabled.protocols", "ssl.cipher.suites", "ssl.endpoint.identification.algorithm",
	"ssl.client.auth", "ssl.truststore.location", "ssl.truststore.certificates", "sasl.mechanism", "sasl.jaas.config"}

// registryOf matches the beginning of settings for a converter's client of a schema registry.
var registryOf = regexp.MustCompile(`^(key|value|header)\.converter\.schema\.registry\.`)

// isProtection reports whether a setting is one of protections, restricts a config provider, or configures TLS or
// logons of Kafka clients, listeners or clients of a schema registry.
func isProtection(key string) bool {
	for _, prefix := range clientPrefixes {
		key = strings.TrimPrefix(key, prefix)
	}
	key = registryOf.ReplaceAllString(key, "")
	return slices.Contains(protections, key) ||
		(strings.HasPrefix(key, "config.providers.") && strings.HasSuffix(key, "."+fileKind.limit))
}

// emptiedProtections returns an error for each protection that an empty value would switch off: if the environment or
// the command line overrides another value with it, or if a reference has an empty value. An empty value in the file
// itself is valid. Settings with a reported error are omitted.
func emptiedProtections(entries []Entry, reported Problems) (problems Problems) {
	for _, entry := range MergeLayers(entries) {
		if !isProtection(entry.Key) || setting.Trim(entry.Value.Reveal()) != "" ||
			slices.ContainsFunc(reported, func(p Problem) bool { return p.Setting == entry.Key && !p.Warning }) {
			continue
		}
		emptied, ok := protectionBelow(entry, entries)
		if !ok {
			continue
		}
		place := emptied.File
		if emptied.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, emptied.Line)
		}
		problems = append(problems, entry.CodedProblem(setting.CodeInvalid, fmt.Sprintf(
			"is empty, which would switch off the protection that %s sets (%s): expected a value. To switch it off, "+
				"change that place", place, emptied.Key)))
	}
	return problems
}

// protectionBelow returns the last entry with a value that an empty entry overrides. In the environment or on the
// command line, a setting of one kind of clients also overrides the setting of all clients.
func protectionBelow(empty Entry, entries []Entry) (Entry, bool) {
	keys := []string{empty.Key}
	if empty.Line == 0 {
		for _, prefix := range clientPrefixes {
			if common, ok := strings.CutPrefix(empty.Key, prefix); ok {
				keys = append(keys, common)
			}
		}
	}
	for _, key := range keys {
		for _, entry := range slices.Backward(entries) {
			if entry.Key == key && setting.Trim(entry.Raw) != "" {
				return entry, true
			}
		}
	}
	return Entry{}, false
}
