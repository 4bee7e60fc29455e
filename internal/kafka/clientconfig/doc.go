// Package clientconfig has what properties of Kafka clients mean by themselves: which there are and which values they
// accept ([Settings], [Check]), the login module of sasl.jaas.config ([ParseLoginModule]), and the name of the embedded
// broker. It opens no file and no connection, so that package config can declare the properties of workers.
package clientconfig
