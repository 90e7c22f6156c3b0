/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two hosts beside each other: what differs, what is the same, and which hosts are worth comparing. */
import { placesOf } from './search.js'

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
const textOf = (value) => JSON.stringify(value ?? null)

/* Fields of an object as [name, value]; those of objects in it as 'name.field'. undefined: no fields. */
export const fieldsOf = (value, above = '') =>
  Object.entries(value || {}).flatMap(([name, item]) =>
    isObject(item) ? fieldsOf(item, `${above}${name}.`) : [[above + name, item]],
  )

/* [{name, one, other, same}] of the fields of two objects, in the order of the first. */
export function pairsOf(one, other) {
  const [left, right] = [one, other].map((value) => new Map(fieldsOf(value)))
  return [...new Set([...left.keys(), ...right.keys()])].map((name) => ({
    name,
    one: left.get(name) ?? null,
    other: right.get(name) ?? null,
    same: textOf(left.get(name)) === textOf(right.get(name)),
  }))
}

/* Names of the loaded modules of the host at a place of the fleet document. */
export const modulesAt = (modules, place) =>
  modules.filter(({ hosts }) => placesOf(hosts).includes(place)).map(({ module }) => module)

/* Which names are in one list alone, in the other alone, and in both. */
export function apart(one, other) {
  const [left, right] = [new Set(one), new Set(other)]
  return {
    one: one.filter((name) => !right.has(name)),
    other: other.filter((name) => !left.has(name)),
    both: one.filter((name) => right.has(name)),
  }
}

const SAME = ['kernel', 'distribution', 'cpu_model', 'virtualization']

/* How much two measured hosts have in common: groups, and what they run. */
const likeness = (one, other) =>
  one.groups.filter((group) => other.groups.includes(group)).length +
  SAME.filter((name) => one.system && other.system && one.system[name] === other.system[name]).length

/* The hosts most like one host, at most count; those with less to report first among equals.
   trouble(name): number of findings of a host. */
export function mostAlike(host, hosts, trouble, count) {
  const others = hosts.filter((other) => other !== host && other.coverage !== 'none')
  const like = new Map(others.map((other) => [other, likeness(host, other)]))
  const least = [...like.values()].sort((left, right) => right - left)[count - 1] ?? 0
  return others
    .filter((other) => like.get(other) >= least)
    .map((other) => ({ other, bad: trouble(other.host) }))
    .sort((left, right) => like.get(right.other) - like.get(left.other) || left.bad - right.bad)
    .slice(0, count)
    .map(({ other }) => other)
}
