import { render } from 'preact';

render(<p>The pages come next.</p>, document.getElementById('app')!);
