// Lighthouse's scores of pages, a line of JSON for each, in one browser for all of them.
//
//     node lighthouse.mjs FOLDER CATEGORIES ADDRESSES FLAGS
//
// npm put Lighthouse into FOLDER; the others are lists with commas, FLAGS are for the browser.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, ...lists] = process.argv.slice(2)
const [onlyCategories, addresses, chromeFlags] = lists.map(list => list.split(','))
const { resolve } = createRequire(join(folder, 'package.json'))
const fetched = name => import(pathToFileURL(resolve(name)))

const { default: lighthouse } = await fetched('lighthouse')
const { launch } = await fetched('chrome-launcher')
const browser = await launch({ chromeFlags })
const settings = {
    port: browser.port,
    onlyCategories,
    logLevel: 'silent',
    disableFullPageScreenshot: true // for reports that people read
}
try {
    for (const address of addresses) {
        const { lhr } = await lighthouse(address, settings)
        const all = Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(100 * score)])
        const held = Object.values(lhr.audits).filter(({ score }) => score === 0)
        const remarks = [lhr.runtimeError?.message, ...held.map(({ title }) => title)].filter(Boolean)
        console.log(JSON.stringify([address, Object.fromEntries(all), remarks]))
    }
} finally {
    browser.kill()
}
