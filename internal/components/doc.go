// Package components finds the plugin component that a connector names, and what its declarations mean: which settings
// are passwords and which a plugin may see ([PluginView]), which claims a connector has ([QualifyClaims]), which system
// it uses ([SystemOf]), and what its transforms do to topics ([EffectOf]). Checks and running connectors use it alike.
//
// Invariant: a built-in component is found before one of the same alias in a plugin file, and no plugin file can turn
// its settings into passwords.
package components
