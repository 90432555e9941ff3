// Evaluates a Tiltfile without Tilt, whose module cannot be built from the Go module proxy, and prints what it asks
// for as JSON, one object a call: {"call": "docker_build", "arguments": {"ref": …}}.
//
//	evaluate-tiltfile TILTFILE CONTEXT NAMESPACE [-- FLAG...]
//
// The language is Tilt's own (go.starlark.net). The functions below take the arguments that Tilt's API reference
// (https://docs.tilt.dev/api.html) gives them and refuse every other, as Tilt does; they do nothing, except that helm()
// runs "helm template" and that config.parse() reads the flags. Exits with 1 and the position when the file is wrong.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	starlarkjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// Each function's arguments in their order; those with "?" may be left out.
var functions = map[string]string{
	"allow_k8s_contexts": "contexts",
	"default_registry":   "host host_from_cluster? single_name?",
	"docker_build": "ref context build_args? dockerfile? dockerfile_contents? live_update? match_in_env_vars? ignore? only? " +
		"entrypoint? target? ssh? network? secret? extra_tag? container_args? cache_from? pull? platform? extra_hosts?",
	"k8s_resource": "workload? new_name? port_forwards? extra_pod_selectors? trigger_mode? resource_deps? objects? auto_init? " +
		"pod_readiness? links? labels? discovery_strategy?",
	"k8s_yaml": "yaml allow_duplicates?",
	"local_resource": "name cmd? deps? trigger_mode? resource_deps? ignore? auto_init? serve_cmd? cmd_bat? serve_cmd_bat? " +
		"allow_parallel? links? labels? env? serve_env? readiness_probe? dir? serve_dir?",
	"port_forward":              "local_port container_port? name? link_path? host?",
	"version_settings":          "check_updates? constraint?",
	"watch_file":                "file_path",
	"config.define_bool":        "name args? usage?",
	"config.define_string":      "name args? usage?",
	"config.define_string_list": "name args? usage?",
}

// What was called so far, in order.
var calls []starlark.Value

func main() {
	if err := evaluate(os.Args[1:]); err != nil {
		if trace, ok := err.(*starlark.EvalError); ok {
			err = fmt.Errorf("%s", trace.Backtrace())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func evaluate(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("want TILTFILE CONTEXT NAMESPACE [-- FLAG...]")
	}
	file, context, namespace := args[0], args[1], args[2]
	var flags []string
	if len(args) > 3 {
		flags = args[4:]
	}
	if err := os.Chdir(filepath.Dir(file)); err != nil {
		return err
	}
	globals := starlark.StringDict{
		"TRIGGER_MODE_AUTO":   starlark.String("auto"),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
		"helm":                starlark.NewBuiltin("helm", helm),
		"k8s_context":         constant("k8s_context", context),
		"k8s_namespace":       constant("k8s_namespace", namespace),
	}
	settings := starlark.StringDict{"parse": starlark.NewBuiltin("config.parse", parser(flags))}
	for name, parameters := range functions {
		function := recorder(name, strings.Fields(parameters))
		if member, found := strings.CutPrefix(name, "config."); found {
			settings[member] = function
		} else {
			globals[name] = function
		}
	}
	globals["config"] = starlarkstruct.FromStringDict(starlarkstruct.Default, settings)
	// Tilt allows "if" and "for" outside of functions, too.
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true}
	thread := &starlark.Thread{Name: file}
	if _, err := starlark.ExecFileOptions(options, thread, filepath.Base(file), nil, globals); err != nil {
		return err
	}
	encode := starlarkjson.Module.Members["encode"]
	for _, call := range calls {
		text, err := starlark.Call(thread, encode, starlark.Tuple{call}, nil)
		if err != nil {
			return err
		}
		fmt.Println(string(text.(starlark.String)))
	}
	return nil
}

func constant(name, value string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return starlark.String(value), starlark.UnpackArgs(b.Name(), args, kwargs)
	})
}

// A function that notes its arguments. What it returns is the note, which stands for a port_forward().
func recorder(name string, parameters []string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		arguments, err := unpack(b.Name(), parameters, args, kwargs)
		if err != nil {
			return nil, err
		}
		if name == "port_forward" {
			return arguments, nil
		}
		return starlark.None, note(name, arguments)
	})
}

func note(name string, arguments *starlark.Dict) error {
	call := starlark.NewDict(2)
	if err := call.SetKey(starlark.String("call"), starlark.String(name)); err != nil {
		return err
	}
	calls = append(calls, call)
	return call.SetKey(starlark.String("arguments"), arguments)
}

func unpack(name string, parameters []string, args starlark.Tuple, kwargs []starlark.Tuple) (*starlark.Dict, error) {
	values := make([]starlark.Value, len(parameters))
	var pairs []any
	for i, parameter := range parameters {
		pairs = append(pairs, parameter, &values[i])
	}
	if err := starlark.UnpackArgs(name, args, kwargs, pairs...); err != nil {
		return nil, err
	}
	arguments := starlark.NewDict(len(parameters))
	for i, parameter := range parameters {
		if values[i] == nil {
			continue
		}
		if err := arguments.SetKey(starlark.String(strings.TrimSuffix(parameter, "?")), values[i]); err != nil {
			return nil, err
		}
	}
	return arguments, nil
}

func helm(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	parameters := strings.Fields("pathToChartDir name? namespace? values? set? kube_version? skip_crds?")
	arguments, err := unpack(b.Name(), parameters, args, kwargs)
	if err != nil {
		return nil, err
	}
	if err := note("helm", arguments); err != nil {
		return nil, err
	}
	words := func(parameter string) []string {
		value, _, _ := arguments.Get(starlark.String(parameter))
		switch value := value.(type) {
		case starlark.String:
			return []string{string(value)}
		case *starlark.List:
			var all []string
			for i := range value.Len() {
				all = append(all, strings.Trim(value.Index(i).String(), `"`))
			}
			return all
		}
		return nil
	}
	command := append([]string{"template"}, words("name")...)
	command = append(command, words("pathToChartDir")...)
	for _, namespace := range words("namespace") {
		command = append(command, "--namespace", namespace)
	}
	for _, file := range words("values") {
		command = append(command, "--values", file)
	}
	for _, pair := range words("set") {
		command = append(command, "--set", pair)
	}
	program := os.Getenv("HELM")
	if program == "" {
		program = "helm"
	}
	output, err := exec.Command(program, command...).Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("helm %s: %w", strings.Join(command, " "), err)
	}
	return starlark.String(output), nil
}

// Reads the flags that the file has defined so far.
func parser(flags []string) func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
			return nil, err
		}
		result := starlark.NewDict(4)
		set := flag.NewFlagSet("Tiltfile", flag.ContinueOnError)
		for _, value := range calls {
			var defined struct {
				Call      string
				Arguments struct{ Name string }
			}
			if err := json.Unmarshal([]byte(jsonOf(value)), &defined); err != nil {
				return nil, err
			}
			name := defined.Arguments.Name
			switch defined.Call {
			case "config.define_bool":
				set.BoolFunc(name, "", func(text string) error {
					return result.SetKey(starlark.String(name), starlark.Bool(text == "true"))
				})
			case "config.define_string":
				set.Func(name, "", func(text string) error {
					return result.SetKey(starlark.String(name), starlark.String(text))
				})
			case "config.define_string_list":
				list := starlark.NewList(nil)
				set.Func(name, "", func(text string) error {
					if err := list.Append(starlark.String(text)); err != nil {
						return err
					}
					return result.SetKey(starlark.String(name), list)
				})
			}
		}
		return result, set.Parse(flags)
	}
}

func jsonOf(value starlark.Value) string {
	text, err := starlark.Call(new(starlark.Thread), starlarkjson.Module.Members["encode"], starlark.Tuple{value}, nil)
	if err != nil {
		return "{}"
	}
	return string(text.(starlark.String))
}
