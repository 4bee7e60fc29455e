// Package components finds the plugin component that a connector names, and what its declarations mean: which settings
// are passwords and which a plugin may see ([PluginView]), what a connector claims for itself ([QualifyClaims]), which
// system it talks to ([SystemOf]), and what its transforms do to topics ([EffectOf]). Checks and connectors that run
// use it alike.
//
// Invariants: a component that comes with the program is found before one of the same alias in a plugin file, and no
// plugin file can turn its settings into passwords.
package components
